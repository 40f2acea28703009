"""Classes for both vaults: pyvault's package is called `vault` too, and whichever is there is imported."""

from typing import Any

from vault import Datatype, PickleDatatype, PickleWrapper


class Document(Datatype):
    """As pyvault's users write one: `_load` is a plain function."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _dump(self) -> bytes:
        return self.text.encode()

    def _load(raw: bytes) -> "Document":  # type: ignore[misc, override]  # noqa: N805  # pyvault's way
        return Document(raw.decode())


class Point(PickleDatatype):
    """Pickled whole, by the name of this module."""

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


STRUCTURE: dict[str, tuple[type[Any], int]] = {
    "documents": (Document, 100),
    "points": (Point, 0),
    "anything": (PickleWrapper, 10),
}

TEXTS = ["hello", "", "ä — 文書", "long " * 500_000]
POINTS = [(1, 2), (-3, 2**80)]
ANYTHING: list[Any] = [None, {"a": [1, 2.5, "ä"]}, b"bytes" * 300_000, (1, {2})]


def text_of(document: Any) -> str:
    """What a document says."""
    return str(document.text)
