"""A directory that pyvault-client 0.1.1 wrote opens as it is, embedded and remote."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from vault import DecodeError, JsonWrapper, RemoteVault, Vault
from vault_server import EmbeddedStore, Server

from tests.compat.pyvault_objects import ANYTHING, POINTS, STRUCTURE, TEXTS, Document, text_of

Ids = dict[str, list[int]]
Files = Callable[[Path], dict[str, tuple[int, int, bytes]]]
Opener = Callable[[Path], Any]


@contextmanager
def embedded(directory: Path) -> Iterator[Vault]:
    with Vault(directory, STRUCTURE) as vault:
        yield vault


@contextmanager
def remote(directory: Path) -> Iterator[RemoteVault]:
    with (
        EmbeddedStore(directory) as store,
        Server(store, listen="127.0.0.1:0") as server,
        RemoteVault(server.address, STRUCTURE) as vault,
    ):
        yield vault


both = pytest.mark.parametrize("opened", [embedded, remote])


@both
def test_every_object_loads(written: tuple[Path, Ids], opened: Opener) -> None:
    directory, ids = written
    with opened(directory) as vault:
        for data_id, text in zip(ids["documents"], TEXTS, strict=True):
            with vault.load("documents", data_id) as ticket:
                assert text_of(ticket.get_data()) == text
        for data_id, (x, y) in zip(ids["points"], POINTS, strict=True):
            with vault.load("points", data_id) as ticket:
                assert (ticket.get_data().x, ticket.get_data().y) == (x, y)
        for data_id, thing in zip(ids["anything"], ANYTHING, strict=True):
            with vault.load("anything", data_id) as ticket:
                assert ticket.get_data().data == thing
        for unit, expected in ids.items():
            assert sorted(info.data_id for info in vault.list(unit)) == sorted(expected)
            assert all(vault.exists(unit, data_id) for data_id in expected)
        assert vault.units() == sorted(STRUCTURE)


@both
def test_opening_and_loading_moves_and_rewrites_nothing(
    written: tuple[Path, Ids], opened: Opener, files_of: Files
) -> None:
    directory, ids = written
    before = files_of(directory)
    for _ in range(2):
        with opened(directory) as vault:
            for unit, expected in ids.items():
                for data_id in expected:
                    vault.load(unit, data_id).close()
        assert files_of(directory) == before


@both
def test_adopted_objects_are_updated_deleted_and_joined_by_new_ones(
    written: tuple[Path, Ids], opened: Opener, files_of: Files
) -> None:
    directory, ids = written
    first, second, third, fourth = ids["documents"]
    untouched = files_of(directory)
    with opened(directory) as vault:
        vault.update("documents", first, Document("updated"))
        with vault.load("documents", second) as ticket:
            ticket.get_ref().text = "edited"
        assert vault.delete("documents", third)
        vault.set_metadata("documents", fourth, name="long", tags={"from": "pyvault"})
        new = vault.upload("documents", Document("new"), name="new")
    with opened(directory) as vault:
        for key, text in [(first, "updated"), (second, "edited"), ("long", TEXTS[3]), (new, "new")]:
            with vault.load("documents", key) as ticket:
                assert text_of(ticket.get_data()) == text
        assert vault.load("documents", third) is None
        assert vault.find("documents", "long") == fourth
    with EmbeddedStore(directory) as store:
        report = store.check(deep=True)
        assert report.ok, report.problems
    still = files_of(directory)
    for data_id in [fourth, *ids["points"]]:
        file = f"{'documents' if data_id == fourth else 'points'}/{data_id}.vault"
        assert still[file] == untouched[file], "what was not written stays where it is"


def test_what_a_failed_upload_of_pyvault_left_is_an_empty_object(tmp_path: Path) -> None:
    """pyvault's JsonWrapper cannot be uploaded: it raises, and leaves an empty file."""
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "5.vault").write_bytes(b"")
    with Vault(tmp_path, {"json": (JsonWrapper, 0)}) as vault:
        info = vault.stat("json", 5)
        assert info is not None
        assert info.size == 0
        with pytest.raises(DecodeError, match="5"):
            vault.load("json", 5)
        assert vault.delete("json", 5)


def test_files_that_pyvault_would_not_have_written_are_left_alone(tmp_path: Path) -> None:
    strange = ["documents/notes.txt", "documents/0.vault", "documents/abc.vault", "documents/007.vault", "5.vault"]
    strange += ["documents/9223372036854775808.vault", "with space/5.vault", "documents/sub/5.vault", "README"]
    for name in [*strange, "documents/5.vault"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"text")
    with EmbeddedStore(tmp_path) as store:
        assert store.list_units() == ["documents"]
        assert [info.data_id for info in store.list_page("documents").objects] == [5]
    assert all((tmp_path / name).read_bytes() == b"text" for name in strange)
