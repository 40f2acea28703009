"""What a Datatype takes comes back as it was, to the type and the bit; anything else is an EncodeError."""

import pytest

from torture.datatypes.fidelity import CASES, tried

PICTURES = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")  # most hold few of the modes that are drawn


@pytest.mark.parametrize("name", CASES)
def test_what_a_datatype_takes_comes_back_as_it_was(name: str) -> None:
    counts = tried(CASES[name], examples=60)
    assert counts["came back"] > 0 or name in PICTURES
