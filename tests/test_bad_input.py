"""Bad input to a vault: refused with the same error embedded and remote, to the letter, and nothing is changed."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vault import BytesWrapper, TextWrapper, Vault
from vault.errors import AlreadyExistsError, InvalidArgumentError, UnknownUnitError
from vault.store.limits import BLOCK_SIZE, MAX_TAGS, check_unit
from vault.testing.store import bad_values as bad
from vault.testing.store.objects import payload

from tests.pair import Pair, asked_twice, shown


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with asked_twice(tmp_path_factory.mktemp("pair")) as made:
        yield made


CALLS: dict[str, Callable[[Vault, Any, Any], Any]] = {
    "exists": lambda vault, unit, key: vault.exists(unit, key),
    "load": lambda vault, unit, key: vault.load(unit, key),
    "get": lambda vault, unit, key: vault.get(unit, key),
    "open_ticket": lambda vault, unit, key: vault.open_ticket(unit, key),
    "update": lambda vault, unit, key: vault.update(unit, key, TextWrapper("new")),
    "delete": lambda vault, unit, key: vault.delete(unit, key),
    "stat": lambda vault, unit, key: vault.stat(unit, key),
    "set_metadata": lambda vault, unit, key: vault.set_metadata(unit, key, tags={"a": "b"}),
    "touch": lambda vault, unit, key: vault.touch(unit, key, expires_in=1000),
    "edit": lambda vault, unit, key: vault.edit(unit, key, lambda _data: None),
    "exists_many": lambda vault, unit, key: vault.exists_many(unit, [key]),
    "open": lambda vault, unit, key: vault.open(unit, key),
    "download_file": lambda vault, unit, key: vault.download_file(unit, key, "/no/such/folder/file"),
}
"""Every call that takes a unit and a key and fails as a whole."""

UNIT_CALLS: dict[str, Callable[[Vault, Any, Any], Any]] = {
    **CALLS,
    "upload": lambda vault, unit, _: vault.upload(unit, TextWrapper("new")),
    "create": lambda vault, unit, _: vault.create(unit, TextWrapper("new")),
    "find": lambda vault, unit, _: vault.find(unit, "name"),
    "list": lambda vault, unit, _: vault.list(unit),
    "unit_info": lambda vault, unit, _: vault.unit_info(unit),
    "set_unit_limits": lambda vault, unit, _: vault.set_unit_limits(unit, max_objects=5),
    "list_level": lambda vault, unit, _: vault.list_level(unit),
    "load_many": lambda vault, unit, _: vault.load_many(unit, [5]),
    "upload_many": lambda vault, unit, _: vault.upload_many(unit, [TextWrapper("new")]),
    "delete_many": lambda vault, unit, _: vault.delete_many(unit, [5]),
    "open_writer": lambda vault, unit, _: vault.open_writer(unit),
    "upload_file": lambda vault, unit, _: vault.upload_file(unit, __file__),
    "get_datatype": lambda vault, unit, _: vault.get_datatype(unit),
}

each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
each_unit_call = pytest.mark.parametrize("call", UNIT_CALLS.values(), ids=UNIT_CALLS.keys())


# Units


@each_unit_call
def test_a_name_that_no_unit_can_have(pair: Pair, call: Callable[[Vault, Any, Any], Any]) -> None:
    for unit in bad.UNITS.values():
        pair.assert_refused(
            lambda vault: call(vault, unit, 5),  # noqa: B023  # called at once
            InvalidArgumentError,
            "BAD_UNIT",
            shown(unit),
        )


@each_unit_call
def test_a_unit_that_is_not_in_the_structure(pair: Pair, call: Callable[[Vault, Any, Any], Any]) -> None:
    error = pair.assert_refused(
        lambda vault: call(vault, "other", 5), UnknownUnitError, "UNKNOWN_UNIT", "'other'", "'texts'", "'json'"
    )
    assert isinstance(error, LookupError)
    assert isinstance(error, ValueError)


# Ids, names, tags


@each_call
def test_what_is_no_key(pair: Pair, call: Callable[[Vault, Any, Any], Any]) -> None:
    for key in bad.IDS.values():
        pair.assert_refused(
            lambda vault: call(vault, "texts", key),  # noqa: B023  # called at once
            InvalidArgumentError,
            "BAD_ID",
            shown(key),
        )
    for key in ["", *bad.NAMES.values()]:
        pair.assert_refused(
            lambda vault: call(vault, "texts", key),  # noqa: B023  # called at once
            InvalidArgumentError,
            "BAD_NAME",
            "name",
        )


def test_a_number_in_quotes_is_a_name(pair: Pair) -> None:
    assert pair.ask(lambda vault: vault.exists("texts", "5")) is False
    assert pair.ask(lambda vault: vault.exists("texts", 5)) is True


@pytest.mark.parametrize("data_id", [value for value in [*bad.IDS.values(), "5"] if value is not None], ids=repr)
def test_an_id_that_no_object_can_have(pair: Pair, data_id: Any) -> None:
    for call in (
        lambda vault: vault.upload("texts", TextWrapper("new"), data_id=data_id),
        lambda vault: vault.create("texts", TextWrapper("new"), data_id=data_id),
        lambda vault: vault.open_writer("texts", data_id=data_id),
        lambda vault: vault.upload_file("texts", __file__, data_id=data_id),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_ID", shown(data_id))


@pytest.mark.parametrize("several", [5, None, 1.5, TextWrapper("one")], ids=repr)
def test_what_is_not_several(pair: Pair, several: Any) -> None:
    for call in (
        lambda vault: vault.exists_many("texts", several),
        lambda vault: vault.load_many("texts", several),
        lambda vault: vault.delete_many("texts", several),
        lambda vault: vault.upload_many("texts", several),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_BATCH", "several", shown(several))


@pytest.mark.parametrize("several", [5, "a", b"a", {"a": "b"}, {"a"}], ids=repr)
def test_names_and_tags_that_are_not_several(pair: Pair, several: Any) -> None:
    for call in (
        lambda vault: vault.upload_many("texts", [TextWrapper("new")], names=several),
        lambda vault: vault.upload_many("texts", [TextWrapper("new")], tags=several),
        lambda vault: vault.put_many("texts", {"new": TextWrapper("new")}, tags=several),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_BATCH", "one for each object")


def test_units_that_are_not_several(pair: Pair) -> None:
    several: Any = 5
    pair.assert_refused(lambda vault: vault.watch(several), InvalidArgumentError, "BAD_UNIT", "5")


@pytest.mark.parametrize("progress", [print, 5, lambda done: None], ids=["print", "number", "lambda"])
def test_a_progress_that_is_none(pair: Pair, progress: Any, tmp_path: Path) -> None:
    for call in (
        lambda vault: vault.upload_file("texts", __file__, progress=progress),
        lambda vault: vault.download_file("texts", 5, tmp_path / "copy", progress=progress),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_PROGRESS", "set_size and relative_update")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*bad.NAMES.values(), "", 5, b"name"], ids=[*bad.NAMES, "empty", "number", "bytes"])
def test_a_name_that_no_object_can_have(pair: Pair, name: Any) -> None:
    for call in (
        lambda vault: vault.upload("texts", TextWrapper("new"), name=name),
        lambda vault: vault.create("texts", TextWrapper("new"), name=name),
        lambda vault: vault.open_writer("texts", name=name),
        lambda vault: vault.upload_file("texts", __file__, name=name),
        lambda vault: vault.find("texts", name),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_NAME", "name", shown(name))
    if name != "":
        pair.assert_refused(lambda vault: vault.set_metadata("texts", 5, name=name), InvalidArgumentError, "BAD_NAME")
        pair.assert_refused(lambda vault: vault.list("texts", prefix=name), InvalidArgumentError, "BAD_NAME", "prefix")


@pytest.mark.parametrize("tags", bad.TAGS.values(), ids=bad.TAGS.keys())
def test_tags_that_no_object_can_have(pair: Pair, tags: Any) -> None:
    for call in (
        lambda vault: vault.upload("texts", TextWrapper("new"), tags=tags),
        lambda vault: vault.create("texts", TextWrapper("new"), tags=tags),
        lambda vault: vault.open_writer("texts", tags=tags),
        lambda vault: vault.upload_file("texts", __file__, tags=tags),
        lambda vault: vault.set_metadata("texts", 5, tags=tags),
        lambda vault: vault.list("texts", tags=tags),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_TAGS", "tag")


def test_too_many_tags_are_counted(pair: Pair) -> None:
    tags = {f"key {number}": "" for number in range(MAX_TAGS + 1)}
    pair.assert_refused(
        lambda vault: vault.upload("texts", TextWrapper("new"), tags=tags),
        InvalidArgumentError,
        "BAD_TAGS",
        str(MAX_TAGS + 1),
        str(MAX_TAGS),
    )


def test_ids_and_names_that_are_taken(pair: Pair) -> None:
    for data_id, name, reason, word in ((5, None, "OBJECT_EXISTS", "5"), (6, "name", "NAME_TAKEN", "'name'")):

        def upload(vault: Vault, data_id: int = data_id, name: str | None = name) -> int:
            return vault.upload("texts", TextWrapper("new"), data_id=data_id, name=name)

        def write(vault: Vault, data_id: int = data_id, name: str | None = name) -> None:
            with vault.open_writer("texts", data_id=data_id, name=name) as writer:
                writer.write(payload(2 * BLOCK_SIZE))

        pair.assert_refused(upload, AlreadyExistsError, reason, word)
        pair.assert_refused(write, AlreadyExistsError, reason, word)


@pytest.mark.parametrize("generation", bad.GENERATIONS.values(), ids=bad.GENERATIONS.keys())
def test_what_is_no_generation(pair: Pair, generation: Any) -> None:
    for call in (
        lambda vault: vault.update("texts", 5, TextWrapper("new"), if_generation=generation),
        lambda vault: vault.delete("texts", 5, if_generation=generation),
        lambda vault: vault.set_metadata("texts", 5, tags={}, if_generation=generation),
    ):
        pair.assert_refused(call, InvalidArgumentError, "BAD_GENERATION", shown(generation))


# Sizes and ranges


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_objects_around_the_size_of_a_block_are_as_good_as_others(pair: Pair, size: int) -> None:
    def there_and_back(vault: Vault) -> tuple[int, bytes, bytes]:
        vault.upload("bytes", BytesWrapper(payload(size)), data_id=size + 1)
        with vault.open("bytes", size + 1) as reader, vault.load("bytes", size + 1) as ticket:  # type: ignore[union-attr]
            return reader.size, reader.read(), ticket.get_data().data

    assert pair.ask(there_and_back) == (size, payload(size), payload(size))


def test_ranges_past_the_end_are_empty_and_before_the_start_refused(pair: Pair) -> None:
    def past(vault: Vault) -> tuple[bytes, bytes, bytes]:
        with vault.open("texts", 5) as reader:
            reader.seek(1000)
            far = reader.read()
            reader.seek(2)
            return far, reader.read(1000), reader.read()

    assert pair.ask(past) == (b"", b"xt", b"")

    def before(vault: Vault) -> None:
        with vault.open("texts", 5) as reader:
            reader.seek(-1)

    for vault in (pair.embedded, pair.remote):
        with pytest.raises(ValueError, match="-1"):
            before(vault)


# Limits


def test_limits_that_a_unit_cannot_have(pair: Pair) -> None:
    for limit in (-1, 2**63, True, 1.5, "1", float("nan")):
        for name in ("max_objects", "max_bytes"):
            options: dict[str, Any] = {name: limit}
            pair.assert_refused(
                lambda vault, options=options: vault.set_unit_limits("texts", **options),  # type: ignore[misc]
                InvalidArgumentError,
                "BAD_LIMIT",
                name,
                shown(limit),
            )
    for when_full in ("", "drop", None, 1):
        pair.assert_refused(
            lambda vault, when_full=when_full: vault.set_unit_limits("texts", when_full=when_full),  # type: ignore[misc]
            InvalidArgumentError,
            "BAD_LIMIT",
            "refuse",
            "evict",
        )


def test_times_to_live_that_no_object_can_have(pair: Pair) -> None:
    calls: tuple[Callable[[Vault, Any], Any], ...] = (
        lambda vault, seconds: vault.touch("texts", "name", expires_in=seconds),
        lambda vault, seconds: vault.put("texts", "name", TextWrapper("new"), expires_in=seconds),
        lambda vault, seconds: vault.put_file("texts", "name", __file__, expires_in=seconds),
        lambda vault, seconds: vault.open_writer("texts", name="name", replace=True, expires_in=seconds),
        lambda vault, seconds: vault.get_or_compute("texts", "name", lambda: TextWrapper("new"), expires_in=seconds),
    )
    for seconds in (0, -1.0, float("nan"), float("inf"), 1e12, True, "1", [1]):
        for call in calls:
            pair.assert_refused(
                lambda vault, call=call, seconds=seconds: call(vault, seconds),  # type: ignore[misc]
                InvalidArgumentError,
                "BAD_EXPIRY",
                "expires_in",
                shown(seconds),
            )


def test_long_names_of_units_that_are_refused_take_no_memory() -> None:
    """A server checks what anybody sends."""
    tracemalloc.start()
    try:
        for number in range(300):
            with pytest.raises(InvalidArgumentError, match="unit name"):
                check_unit("u" * 100_000 + str(number))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 5_000_000
