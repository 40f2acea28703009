"""What a location means: a directory, a server, or something that nobody meant as a directory's name."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import AsyncVault, TextWrapper, Vault
from vault.errors import (
    InvalidArgumentError,
    StorageError,
)
from vault.store.location import parse_location
from vault.testing.store.objects import assert_failed_with
from vault_server import AsyncEmbeddedStore, EmbeddedStore

from tests.rights import rights_of

STRUCTURE = {"notes": (TextWrapper, 0)}

MEANT = {
    "localhost:50051": "'grpc://localhost:50051'",
    "storage.example.com:50051": "'grpc://storage.example.com:50051'",
    "127.0.0.1:50051": "'grpc://127.0.0.1:50051'",
    "[::1]:50051": "'grpc://[::1]:50051'",
    ":50051": "'grpc://localhost:50051'",
    "localhost:50051/": "'grpc://localhost:50051'",
    "grpc:localhost:50051": "'grpc://localhost:50051'",
    "grpc:/localhost:50051": "'grpc://localhost:50051'",
    "tcp:localhost:50051": "'grpc://localhost:50051'",
    " localhost:50051": "'grpc://localhost:50051'",
    "http://localhost:50051": "'grpc://localhost:50051'",
    "https://localhost:50051/": "'grpcs://localhost:50051'",
    ":memory:": "'memory://'",
    "file:data": "'file://{cwd}/data'",
    "file:data/with space": "'file://{cwd}/data/with%20space'",
    "file:/srv/data": "'file:///srv/data'",
    "file://data": "'file://{cwd}/data'",
    "FILE:data": "'file://{cwd}/data'",
    "s3://bucket/folder": "known schemes: file, grpc",
    "s3:bucket": "'./s3:bucket'",
    "redis://localhost": "known schemes",
    "UNIX:/tmp/socket": "'unix:PATH'",
    "user@host:data": "'./user@host:data'",
    "C:\\data": "with /",
    "c:/data": "'./c:/data'",
    "\\\\host\\share": "with /",
    "~/data": "{home}/data",
    "~": "{home}",
}

OPENERS: list[Callable[[str], object]] = [
    lambda location: Vault(location, STRUCTURE),
    lambda location: AsyncVault(location, STRUCTURE),
    EmbeddedStore,
    AsyncEmbeddedStore,
]


@pytest.mark.parametrize("location", MEANT)
def test_what_nobody_means_as_a_directorys_name_is_refused_with_what_was_meant(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    meant = MEANT[location].format(cwd=quote(str(tmp_path)), home=Path.home())
    for number, opener in enumerate(OPENERS):
        with pytest.raises(InvalidArgumentError) as caught:
            opener(location)
        assert caught.value.reason in ("BAD_LOCATION", "UNKNOWN_SCHEME")
        assert meant in caught.value.message or number >= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["localhost:50051", ":memory:", "C:\\data", "~", "a:b", "unix:x", "grpc:", "http:"])
def test_a_directory_of_such_a_name_is_opened_when_it_is_meant(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for location in (f"./{name}", Path(name), str(tmp_path / name), f"file://{quote(str(tmp_path / name))}"):
        with Vault(location, STRUCTURE) as vault:
            assert vault.units() == []
        EmbeddedStore(location).close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_was_meant_is_right_when_it_is_a_file_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgumentError) as caught:
        parse_location("file:a b%25ä")
    url = re.findall(r"file://[^']*", caught.value.message)[0]
    assert parse_location(url) == ("file", str(tmp_path / "a b%ä"))


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_every_name_is_a_directorys_after_a_dot_and_a_slash_and_as_a_path(name: str) -> None:
    assert parse_location(f"./{name}") == ("file", f"./{name}")
    scheme, path = parse_location(Path(name))
    assert (scheme, Path(path)) == ("file", Path(name))
    assert parse_location(Path("/") / name) == ("file", os.fspath(Path("/") / name))


def test_a_file_where_a_directory_should_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    for location in (file, str(file), f"file://{file}"):
        with pytest.raises(InvalidArgumentError, match="is a file") as caught:
            Vault(location, STRUCTURE)
        assert_failed_with(caught.value, InvalidArgumentError, "BAD_LOCATION", str(file))
    with pytest.raises((StorageError, InvalidArgumentError), match="file"):
        Vault(file / "below", STRUCTURE)
    assert file.read_text() == "text"


@pytest.mark.parametrize("location", ["", "a\0b", 5, None, b"bytes"])
def test_a_location_that_is_none(location: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Vault(location, STRUCTURE)
    assert_failed_with(caught.value, InvalidArgumentError, "BAD_LOCATION", repr(location))


def test_a_scheme_that_nobody_offers() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Vault("s3://bucket/folder", STRUCTURE)
    assert_failed_with(caught.value, InvalidArgumentError, "UNKNOWN_SCHEME", "s3://", "file", "grpc")


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    Vault(tmp_path / "elsewhere", STRUCTURE).close()  # everything is imported, which it cannot be without rights
    with unwritable_directory() as directory:
        for location in (directory, directory / "new"):
            with rights_of(), pytest.raises(StorageError) as caught:
                Vault(location, STRUCTURE)
            assert_failed_with(caught.value, StorageError, "STORAGE_FAILED", str(location))
        assert list(directory.iterdir()) == []


@contextmanager
def unwritable_directory() -> Iterator[Path]:
    """A directory that everybody may read and nobody may write, below others that everybody may read."""
    with tempfile.TemporaryDirectory(prefix="vault-unwritable-") as made:
        Path(made).chmod(0o755)
        directory = Path(made) / "directory"
        directory.mkdir(mode=0o555)
        yield directory
        directory.chmod(0o755)
