"""What a write does, and what it leaves when it does not succeed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from vault.errors import (
    AlreadyExistsError,
    ChecksumError,
    ClosedError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    VaultError,
)
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, MetadataSpec, SmallUpdate, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import Block, Change, ObjectInfo, checksum
from vault_server.storage import EmbeddedStore, StoreOptions

from tests.storage.objects import (
    INLINE,
    LARGE,
    SMALL,
    UNIT,
    blob_files,
    blocks_of,
    delete,
    read,
    small,
    staged_files,
    stat,
    succeeded,
    update,
    upload,
    write_all,
)

SIZES = [0, 1, INLINE, INLINE + 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read(store: EmbeddedStore, size: int) -> None:
    data = LARGE[:size] if size <= len(LARGE) else LARGE + LARGE[: size - len(LARGE)]
    info = upload(store, data, name="n", tags={"k": "v"})
    assert (info.size, info.checksum, info.name, info.tags) == (size, checksum(data), "n", {"k": "v"})
    assert info.generation == info.revision == store.revision
    assert read(store, "n") == data
    assert stat(store, info.data_id) == info


def test_small_objects_live_in_the_register_and_large_ones_in_files(store: EmbeddedStore) -> None:
    upload(store, LARGE[:INLINE], data_id=1)
    upload(store, LARGE[: INLINE + 1], data_id=2)
    store.upload_many(UNIT, [small(LARGE[:INLINE], data_id=3), small(LARGE[: INLINE + 1], data_id=4)])
    assert blob_files(store.directory) == ["2.2.vault", "4.4.vault"]


def test_a_later_generation_has_a_file_of_its_own_and_the_old_one_goes(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        upload(store, LARGE, data_id=5)
        second = update(store, 5, LARGE[:-1])
        assert read(store, 5) == LARGE[:-1]
    assert blob_files(directory) == [f"5.{second.generation}.vault"]


def test_an_id_used_anew_never_meets_the_old_file(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        for turn in range(5):
            data = LARGE[turn:]
            upload(store, data, data_id=5)
            assert read(store, 5) == data
            delete(store, 5)
    assert blob_files(directory) == []


def test_a_unit_named_like_the_register_does_not_touch_it(store: EmbeddedStore) -> None:
    for unit in ("register.db", "register.db-wal", "Register.DB"):
        upload(store, LARGE, unit=unit, data_id=1)
        assert read(store, 1, unit=unit) == LARGE
    assert store.list_units() == ["Register.DB", "register.db", "register.db-wal"]
    assert store.check(deep=True).files == 3


def test_without_a_commit_there_is_nothing(store: EmbeddedStore) -> None:
    with store.upload(UNIT, UploadSpec(7, "n")) as writer:
        for block in blocks_of(LARGE):
            writer.write(block)
        assert writer.persisted_size == len(LARGE)
        assert staged_files(store.directory)
    assert store.exists_many(UNIT, [7, "n"]) == [0, 0]
    assert staged_files(store.directory) == []
    assert store.revision == 0


def bad_offset() -> list[Block]:
    first, second, _ = blocks_of(LARGE)
    return [first, Block(2 * BLOCK_SIZE, second.data, second.checksum)]


def bad_checksum() -> list[Block]:
    first, second, _ = blocks_of(LARGE)
    return [first, Block(second.offset, second.data, second.checksum ^ 1)]


def short_in_the_middle() -> list[Block]:
    return [Block(0, b"abc", checksum(b"abc")), Block(3, b"def", checksum(b"def"))]


@pytest.mark.parametrize(
    ("blocks", "error", "reason"),
    [
        (bad_offset, InvalidArgumentError, "BAD_OFFSET"),
        (bad_checksum, ChecksumError, "CHECKSUM_MISMATCH"),
        (short_in_the_middle, InvalidArgumentError, "BAD_SIZE"),
        (lambda: [Block(0, b"", checksum(b""))], InvalidArgumentError, "BAD_SIZE"),
        (lambda: [Block(0, bytes(BLOCK_SIZE + 1), checksum(bytes(BLOCK_SIZE + 1)))], InvalidArgumentError, "BAD_SIZE"),
    ],
)
def test_a_bad_block_aborts_the_write(
    store: EmbeddedStore, blocks: Callable[[], list[Block]], error: type[VaultError], reason: str
) -> None:
    *good, bad = blocks()
    writer = store.upload(UNIT, UploadSpec(7))
    for block in good:
        writer.write(block)
    with pytest.raises(error) as raised:
        writer.write(bad)
    assert raised.value.reason == reason
    with pytest.raises(ClosedError):
        writer.commit(0)
    assert staged_files(store.directory) == []
    assert store.exists_many(UNIT, [7]) == [0]


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_a_commit_that_states_other_bytes_stores_nothing(store: EmbeddedStore, data: bytes) -> None:
    for size, whole, error in ((len(data) + 1, None, InvalidArgumentError), (len(data), 1, ChecksumError)):
        writer = store.upload(UNIT, UploadSpec(7))
        for block in blocks_of(data):
            writer.write(block)
        with pytest.raises(error):
            writer.commit(size, whole)
    assert store.exists_many(UNIT, [7]) == [0]
    assert staged_files(store.directory) == []


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_one_of_two_writes_of_an_id_wins_and_the_other_leaves_nothing(store: EmbeddedStore, data: bytes) -> None:
    first, second = (store.upload(UNIT, UploadSpec(7)) for _ in range(2))
    write_all(first, data)
    with pytest.raises(AlreadyExistsError) as raised:
        write_all(second, data[1:])
    assert raised.value.reason == "OBJECT_EXISTS"
    assert read(store, 7) == data
    assert staged_files(store.directory) == []


def test_taken_ids_and_names_are_told_apart(store: EmbeddedStore) -> None:
    info = upload(store, SMALL, data_id=7, name="taken")
    with pytest.raises(AlreadyExistsError) as by_id:
        upload(store, SMALL, data_id=7)
    assert by_id.value.reason == "OBJECT_EXISTS"
    assert by_id.value.context == {"unit": UNIT, "data_id": 7, "generation": info.generation}
    with pytest.raises(AlreadyExistsError) as by_name:
        upload(store, SMALL, name="taken")
    assert by_name.value.reason == "NAME_TAKEN"
    assert by_name.value.context == {"unit": UNIT, "name": "taken", "data_id": 7}
    other = upload(store, SMALL)
    with pytest.raises(AlreadyExistsError):
        store.set_metadata(UNIT, MetadataSpec(other.data_id, name="taken"))
    upload(store, SMALL, unit="another", data_id=7, name="taken")


def test_an_update_under_an_old_generation_loses(store: EmbeddedStore) -> None:
    first = upload(store, LARGE)
    begun = store.update(UNIT, UpdateSpec(first.data_id, first.generation))
    second = update(store, first.data_id, LARGE[1:], if_generation=first.generation)
    with pytest.raises(ConflictError) as raised:
        write_all(begun, LARGE[2:])
    assert raised.value.context == {
        "unit": UNIT,
        "data_id": first.data_id,
        "generation": second.generation,
        "wanted": first.generation,
    }
    for generation in (first.generation, 0):
        with pytest.raises(ConflictError):
            store.update(UNIT, UpdateSpec(first.data_id, generation))
    assert read(store, first.data_id) == LARGE[1:]
    with pytest.raises(NotFoundError):
        store.update(UNIT, UpdateSpec("nobody"))


def test_an_update_keeps_the_metadata_and_may_change_the_datatype(store: EmbeddedStore) -> None:
    spec = UploadSpec(7, "n", {"k": "v"}, "text")
    first = write_all(store.upload(UNIT, spec), SMALL)
    second = write_all(store.update(UNIT, UpdateSpec("n")), b"second")
    third = write_all(store.update(UNIT, UpdateSpec(7, datatype="json")), b"3")
    assert [info.datatype for info in (first, second, third)] == ["text", "text", "json"]
    assert (third.name, third.tags, third.created_at) == ("n", {"k": "v"}, first.created_at)
    assert third.updated_at >= second.updated_at >= first.updated_at
    assert first.generation < second.generation < third.generation


def test_metadata_changes_without_a_new_generation(store: EmbeddedStore) -> None:
    first = upload(store, LARGE, name="n", tags={"k": "v", "l": "w"})
    tagged = store.set_metadata(UNIT, MetadataSpec("n", tags={"k": "other"}))
    assert (tagged.generation, tagged.name, tagged.tags) == (first.generation, "n", {"k": "other"})
    assert tagged.revision > first.revision
    renamed = store.set_metadata(UNIT, MetadataSpec("n", name="m", if_generation=first.generation))
    assert (renamed.name, renamed.tags) == ("m", {"k": "other"})
    assert store.exists_many(UNIT, ["n", "m"]) == [0, first.generation]
    bare = store.set_metadata(UNIT, MetadataSpec("m", name="", tags={}))
    assert (bare.name, bare.tags) == (None, {})
    assert store.list_page(UNIT, tags={"k": "other"}).objects == []
    assert read(store, first.data_id) == LARGE
    with pytest.raises(ConflictError):
        store.set_metadata(UNIT, MetadataSpec(first.data_id, name="x", if_generation=first.generation + 1))
    with pytest.raises(NotFoundError):
        store.set_metadata(UNIT, MetadataSpec("m", name="x"))


def test_each_item_of_a_batch_has_its_own_outcome(store: EmbeddedStore) -> None:
    upload(store, SMALL, data_id=7, name="taken")
    items = [
        small(data_id=1, name="a"),
        small(data_id=7),
        small(data_id=2, name="taken"),
        small(data_id=1),
        small(data_id=0),
        small(bytes(BLOCK_SIZE + 1)),
        type(small())(UploadSpec(3), b"x", 1),
        small(LARGE[:BLOCK_SIZE], data_id=4),
        small(b"", data_id=5),
    ]
    outcomes = store.upload_many(UNIT, items)
    assert [o.reason if isinstance(o, VaultError) else o.data_id for o in outcomes] == [
        1,
        "OBJECT_EXISTS",
        "NAME_TAKEN",
        "OBJECT_EXISTS",
        "BAD_ID",
        "BAD_SIZE",
        "CHECKSUM_MISMATCH",
        4,
        5,
    ]
    assert read(store, 4) == LARGE[:BLOCK_SIZE]
    assert read(store, 5) == b""
    assert staged_files(store.directory) == []


def test_batches_update_and_delete_item_by_item(store: EmbeddedStore) -> None:
    infos = [succeeded(o) for o in store.upload_many(UNIT, [small(data_id=i + 1) for i in range(4)])]
    new = LARGE[: INLINE + 1]
    outcomes = store.update_many(
        UNIT,
        [
            SmallUpdate(UpdateSpec(1), new, checksum(new)),
            SmallUpdate(UpdateSpec(2, infos[0].generation), new, checksum(new)),
            SmallUpdate(UpdateSpec(99), new, checksum(new)),
        ],
    )
    assert [type(o) for o in outcomes] == [ObjectInfo, ConflictError, NotFoundError]
    assert read(store, 1) == new
    deleted = store.delete_many(
        UNIT, [DeleteSpec(1), DeleteSpec(1), DeleteSpec(2, infos[2].generation), DeleteSpec("nobody"), DeleteSpec(-1)]
    )
    assert deleted[0] == store.revision
    assert deleted[1] == deleted[3] == 0
    assert isinstance(deleted[2], ConflictError)
    assert deleted[2].context["generation"] == infos[1].generation
    assert isinstance(deleted[4], InvalidArgumentError)
    assert store.exists_many(UNIT, [1, 2]) == [0, infos[1].generation]


def test_many_tags_and_ids_at_their_limits_are_kept(store: EmbeddedStore) -> None:
    tags = {f"key {number} é": "v" * 1000 for number in range(64)}
    info = upload(store, SMALL, data_id=2**63 - 1, name="ü" * 512, tags=tags)
    assert stat(store, 2**63 - 1) == info
    assert store.list_page(UNIT, tags=tags).objects == [info]
    delete(store, "ü" * 512)
    assert store.list_page(UNIT, tags=tags).objects == []


def test_a_unit_that_is_not_allowed_is_refused_before_anything(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(allowed_units=("one", "two"))) as store:
        assert store.capabilities().allowed_units == ("one", "two")
        upload(store, SMALL, unit="one")
        with pytest.raises(InvalidArgumentError) as raised:
            store.upload("three", UploadSpec(new_data_id()))
        assert raised.value.reason == "UNKNOWN_UNIT"
        with pytest.raises(InvalidArgumentError, match="bad unit"):
            store.exists_many("../x", [1])
        with EmbeddedStore(directory) as open_to_all, store.watch() as watch:
            events = iter(watch)
            next(events)
            upload(open_to_all, SMALL, unit="three")
            upload(open_to_all, SMALL, unit="two")
            change = next(events)
            assert isinstance(change, Change)
            assert change.unit == "two"
            assert store.list_units() == ["one", "two"]
