"""What a vault can be opened on, and what it refuses before any I/O."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vault import (
    AsyncVault,
    ClosedError,
    InvalidArgumentError,
    RemoteVault,
    TextWrapper,
    UnitSettings,
    UnknownUnitError,
    Vault,
)
from vault.testing.congruence import assert_congruent
from vault.testing.store.objects import assert_failed_with
from vault_server import AsyncEmbeddedStore, EmbeddedStore

from tests.vault.places import STRUCTURE, Count, Note


@pytest.mark.parametrize(
    ("structure", "reason", "word"),
    [
        (5, "BAD_STRUCTURE", "5"),
        (["texts"], "BAD_STRUCTURE", "texts"),
        ([("texts", (TextWrapper, 0))], "BAD_STRUCTURE", "texts"),
        ({"texts": None}, "BAD_STRUCTURE", "'texts'"),
        ({"texts": TextWrapper}, "BAD_STRUCTURE", "'texts'"),
        ({"texts": (TextWrapper,)}, "BAD_STRUCTURE", "'texts'"),
        ({"texts": (TextWrapper, 0, 0)}, "BAD_STRUCTURE", "'texts'"),
        ({"texts": (str, 0)}, "BAD_STRUCTURE", "<class 'str'>"),
        ({"texts": (TextWrapper("text"), 0)}, "BAD_STRUCTURE", "'texts'"),
        ({"texts": ("TextWrapper", 0)}, "BAD_STRUCTURE", "'TextWrapper'"),
        ({"texts": (TextWrapper, -1)}, "BAD_STRUCTURE", "-1"),
        ({"texts": (TextWrapper, 1.5)}, "BAD_STRUCTURE", "1.5"),
        ({"texts": (TextWrapper, True)}, "BAD_STRUCTURE", "True"),
        ({"texts": (TextWrapper, "1")}, "BAD_STRUCTURE", "'1'"),
        ({"texts": (TextWrapper, None)}, "BAD_STRUCTURE", "None"),
        ({"texts": UnitSettings(TextWrapper, max_bytes=-1)}, "BAD_STRUCTURE", "max_bytes"),
        ({"../texts": (TextWrapper, 0)}, "BAD_UNIT", "'../texts'"),
        ({5: (TextWrapper, 0)}, "BAD_UNIT", "5"),
        ({"": (TextWrapper, 0)}, "BAD_UNIT", "''"),
    ],
    ids=range(19),
)
def test_a_structure_that_is_none_is_refused_in_the_same_words_before_anything_is_made(
    tmp_path: Path, structure: Any, reason: str, word: str
) -> None:
    def opened(opener: Callable[[Any], Vault]) -> None:
        opener(structure).close()

    def embedded(structure: Any) -> Vault:
        return Vault(tmp_path / "new", structure)

    def remote(structure: Any) -> Vault:
        return RemoteVault("127.0.0.1:1", structure)

    assert_failed_with(assert_congruent(opened, embedded, remote), InvalidArgumentError, reason, word)
    assert not (tmp_path / "new").exists(), "nothing was made"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_memory_used": 0}, "BAD_LIMIT"),
        ({"max_memory_used": "much"}, "BAD_LIMIT"),
        ({"max_memory_used": 1e308}, "BAD_LIMIT"),
        ({"consistency": "eventual"}, "BAD_CONSISTENCY"),
    ],
)
def test_options_that_are_none_are_refused_before_anything_is_made(
    options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Vault(tmp_path / "store", STRUCTURE, **options)
    assert caught.value.reason == reason
    assert not (tmp_path / "store").exists()


def test_an_empty_structure_is_one(tmp_path: Path) -> None:
    with Vault(tmp_path / "store", {}) as vault:
        assert vault.units() == []
        with pytest.raises(UnknownUnitError, match="known units: none"):
            vault.load("notes", 1)


def test_an_unknown_unit_is_refused_with_the_known_ones_before_any_io() -> None:
    with RemoteVault("127.0.0.1:9", STRUCTURE) as vault:  # nobody listens there: a call would say so
        calls: list[Any] = [
            lambda: vault.exists("letters", 1),
            lambda: vault.load("letters", 1),
            lambda: vault.get("letters", 1),
            lambda: vault.open_ticket("letters", 1),
            lambda: vault.upload("letters", Note("")),
            lambda: vault.create("letters", Note("")),
            lambda: vault.update("letters", 1, Note("")),
            lambda: vault.delete("letters", 1),
            lambda: vault.stat("letters", 1),
            lambda: vault.find("letters", "a"),
            lambda: vault.list("letters"),
            lambda: vault.set_metadata("letters", 1, name="a"),
            lambda: vault.edit("letters", 1, lambda note: None),
            lambda: vault.exists_many("letters", [1]),
            lambda: vault.load_many("letters", [1]),
            lambda: vault.upload_many("letters", [Note("")]),
            lambda: vault.delete_many("letters", [1]),
            lambda: vault.open("letters", 1),
            lambda: vault.open_writer("letters"),
            lambda: vault.upload_file("letters", "file"),
            lambda: vault.download_file("letters", 1, "file"),
            lambda: vault.get_datatype("letters"),
        ]
        for call in calls:
            with pytest.raises(UnknownUnitError, match=r"'letters' is not in the structure.*'counts', 'notes'"):
                call()


@pytest.mark.parametrize("key", [0, -1, 2**63, True, 1.5, None, "", b"a"])
def test_a_key_that_can_be_none_is_refused_before_any_io(key: Any) -> None:
    with RemoteVault("127.0.0.1:9", STRUCTURE) as vault:
        calls: list[Any] = [
            lambda: vault.exists("notes", key),
            lambda: vault.load("notes", key),
            lambda: vault.get("notes", key),
            lambda: vault.open_ticket("notes", key),
            lambda: vault.update("notes", key, Note("")),
            lambda: vault.delete("notes", key),
            lambda: vault.stat("notes", key),
            lambda: vault.set_metadata("notes", key, name="a"),
            lambda: vault.edit("notes", key, lambda note: None),
            lambda: vault.exists_many("notes", [key]),
            lambda: vault.open("notes", key),
            lambda: vault.download_file("notes", key, "file"),
        ]
        for call in calls:
            with pytest.raises(InvalidArgumentError, match=r"bad (id|name|key)"):
                call()


def test_an_object_of_another_datatype_is_refused_with_both_named(tmp_path: Path) -> None:
    with Vault(tmp_path / "store", STRUCTURE) as vault:
        other: Any = Count(1)
        calls: list[Any] = [
            lambda: vault.upload("notes", other),
            lambda: vault.create("notes", other),
            lambda: vault.update("notes", 1, other),
        ]
        for call in calls:
            with pytest.raises(InvalidArgumentError, match=r"'notes'.*Note, not Count") as caught:
                call()
            assert caught.value.reason == "BAD_OBJECT"
        assert vault.units() == []


def test_a_store_is_used_as_it_is_and_stays_open(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        with Vault(store, STRUCTURE) as vault:
            data_id = vault.upload("notes", Note("a"))
        assert store.exists_many("notes", [data_id]) != [0]


async def test_a_store_of_the_other_colour_is_refused(tmp_path: Path) -> None:
    other: Any
    with EmbeddedStore(tmp_path / "a") as other, pytest.raises(InvalidArgumentError, match="needs an AsyncStore"):
        AsyncVault(other, STRUCTURE)
    async with AsyncEmbeddedStore(tmp_path / "b") as other:
        with pytest.raises(InvalidArgumentError, match="needs a Store"):
            Vault(other, STRUCTURE)


def test_a_location_that_is_none_says_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="known schemes: file, grpc"):
        Vault("gopher://host", STRUCTURE)
    with pytest.raises(InvalidArgumentError, match="bad address 'nowhere'"):
        RemoteVault("nowhere", STRUCTURE)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgumentError, match="is a file"):
        Vault(tmp_path / "file", STRUCTURE)


def test_a_closed_vault_says_so(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "store", STRUCTURE)
    vault.close()
    vault.close()
    calls: list[Any] = [
        lambda: vault.load("notes", 1),
        lambda: vault.upload("notes", Note("")),
        lambda: vault.list("notes"),
        vault.units,
        vault.upkeep,
        lambda: vault.spawn_upkeeping_thread(1),
        vault.__enter__,
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    assert vault.cache_stats().entries == 0
    assert vault.get_datatype("notes") is Note
