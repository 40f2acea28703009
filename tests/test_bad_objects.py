"""Objects that a unit does not hold, or has no room for: refused with the same error embedded and remote."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vault import BytesWrapper, Datatype, JsonWrapper, TextWrapper, Vault
from vault.errors import DecodeError, EncodeError, InvalidArgumentError, StorageFullError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpload, UpdateSpec, UploadSpec
from vault.store.values import checksum
from vault.testing.store.objects import payload
from vault_server import EmbeddedStore

from tests.pair import Call, Pair, asked_twice


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with asked_twice(tmp_path_factory.mktemp("pair")) as made:
        yield made


def test_what_a_full_unit_has_no_room_for(pair: Pair) -> None:
    pair.ask(lambda vault: vault.set_unit_limits("full", max_objects=1, max_bytes=10))
    calls: tuple[Call, ...] = (
        lambda vault: vault.upload("full", BytesWrapper(b"x" * 11), name="large"),
        lambda vault: vault.upload("full", BytesWrapper(payload(BLOCK_SIZE + 1)), name="large"),
    )
    for call in calls:
        error = pair.assert_refused(call, StorageFullError, "QUOTA", "'full'", "10")
        assert error.context["limit"] == 10
    pair.ask(lambda vault: vault.upload("full", BytesWrapper(b"x" * 10), data_id=70))
    pair.assert_refused(lambda vault: vault.upload("full", BytesWrapper(b"")), StorageFullError, "QUOTA", "2 objects")
    pair.assert_refused(
        lambda vault: vault.update("full", 70, BytesWrapper(b"x" * 11)), StorageFullError, "QUOTA", "11 bytes"
    )
    pair.ask(lambda vault: vault.delete("full", 70))
    pair.ask(lambda vault: vault.set_unit_limits("full"))


def test_an_object_of_another_class(pair: Pair) -> None:
    wrong: list[Any] = ["text", None, JsonWrapper(1), TextWrapper]
    for data in wrong:
        for call in (
            lambda vault, data=data: vault.upload("texts", data),
            lambda vault, data=data: vault.create("texts", data),
            lambda vault, data=data: vault.update("texts", 5, data),
            lambda vault, data=data: vault.edit("texts", 5, lambda _, data=data: data or 1),
        ):
            pair.assert_refused(call, InvalidArgumentError, "BAD_OBJECT", "'texts'", "TextWrapper")


def test_an_object_that_does_not_dump(pair: Pair) -> None:
    pair.ask(lambda vault: vault.upload("json", JsonWrapper("old"), data_id=7))

    def edit(vault: Vault) -> None:
        with vault.load("json", 7) as ticket:  # type: ignore[union-attr]
            ticket.get_ref().data = {1, 2}

    for call in (
        lambda vault: vault.upload("json", JsonWrapper({1, 2})),
        lambda vault: vault.update("json", 7, JsonWrapper({1, 2})),
        edit,
    ):
        error = pair.assert_refused(call, EncodeError, "ENCODE", "'json'", "JsonWrapper")
        assert isinstance(error.__cause__, TypeError)


def test_a_tag_that_the_unit_does_not_load(pair: Pair) -> None:
    raw = b'"text"'
    spec = UploadSpec(data_id=11, name="foreign", datatype="Foreign")
    pair.do(lambda store: store.upload_many("json", [SmallUpload(spec, raw, checksum(raw))]))
    for call in (
        lambda vault: vault.load("json", 11),
        lambda vault: vault.load("json", "foreign"),
        lambda vault: vault.edit("json", 11, lambda _: None),
    ):
        error = pair.assert_refused(call, DecodeError, "DATATYPE_MISMATCH", "'Foreign'", "'json'", "11")
        assert error.context["data_id"] == 11
    assert pair.ask(lambda vault: vault.exists("json", 11)) is True


def test_bytes_that_do_not_decode(pair: Pair) -> None:
    for data_id, unit, raw, datatype in ((12, "json", b"{", "json"), (13, "json", b"", ""), (14, "texts", b"\xff", "")):
        spec = UploadSpec(data_id=data_id, datatype=datatype)

        def store_raw(store: EmbeddedStore, unit: str = unit, raw: bytes = raw, spec: UploadSpec = spec) -> None:
            store.upload_many(unit, [SmallUpload(spec, raw, checksum(raw))])

        pair.do(store_raw)
        error = pair.assert_refused(
            lambda vault, unit=unit, data_id=data_id: vault.load(unit, data_id),  # type: ignore[misc]
            DecodeError,
            "DECODE",
            f"'{unit}'",
            str(data_id),
        )
        assert isinstance(error.__cause__, ValueError)
        assert error.context["data_id"] == data_id


def test_a_datatype_that_returns_something_else_than_bytes(tmp_path: Path) -> None:
    class Wrong(Datatype):
        def _dump(self) -> Any:
            return "text"

    with Vault(tmp_path, {"wrong": (Wrong, 0)}) as vault:
        with pytest.raises(EncodeError, match=r"str.*bytes"):
            vault.upload("wrong", Wrong())
        assert vault.units() == []


def test_an_update_of_nothing_leaves_nothing(pair: Pair) -> None:
    """A write that cannot succeed is refused before its bytes are stored."""

    def update(store: EmbeddedStore) -> None:
        with pytest.raises(LookupError), store.update("empty", UpdateSpec("name")) as writer:
            writer.commit(0)

    pair.do(update)
    assert pair.ask(lambda vault: [info.data_id for info in vault.list("empty")]) == []
