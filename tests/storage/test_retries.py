"""A write that is sent again is applied once, and answered as the first time."""

import pytest
from vault.errors import AlreadyExistsError, InvalidArgumentError
from vault.store.specs import DeleteSpec, MetadataSpec, SmallUpdate, SmallUpload, UpdateSpec, UploadSpec
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore, StoreOptions

from tests.storage.objects import LARGE, SMALL, UNIT, delete, read, stat, update, upload, write_all


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_an_upload_sent_again_answers_as_before(store: EmbeddedStore, data: bytes) -> None:
    spec = UploadSpec(7, "n", {"k": "v"}, "text")
    first = write_all(store.upload(UNIT, spec), data)
    assert write_all(store.upload(UNIT, spec), data) == first
    assert store.revision == first.revision
    (other,) = store.upload_many(UNIT, [SmallUpload(spec, b"x", checksum(b"x"))])
    assert isinstance(other, InvalidArgumentError)
    update(store, 7, b"other")
    store.set_metadata(UNIT, MetadataSpec(7, name="m", tags={}))
    assert write_all(store.upload(UNIT, spec), data) == first
    delete(store, 7)
    assert write_all(store.upload(UNIT, spec), data) == first
    assert store.exists_many(UNIT, [7]) == [0]


def test_two_streams_of_one_request_commit_once(store: EmbeddedStore) -> None:
    spec = UploadSpec(7)
    first, second = store.upload(UNIT, spec), store.upload(UNIT, spec)
    assert write_all(first, LARGE) == write_all(second, LARGE)
    assert store.revision == 1


def test_an_update_sent_again_does_not_undo_one_in_between(store: EmbeddedStore) -> None:
    upload(store, SMALL, data_id=7, tags={"k": "v"})
    spec = UpdateSpec(7)
    first = write_all(store.update(UNIT, spec), LARGE)
    between = update(store, 7, b"between")
    assert write_all(store.update(UNIT, spec), LARGE) == first
    (other,) = store.update_many(UNIT, [SmallUpdate(spec, b"x", checksum(b"x"))])
    assert isinstance(other, InvalidArgumentError)
    assert read(store, 7) == b"between"
    assert stat(store, 7) == between


def test_an_update_under_a_generation_sent_again_is_no_conflict(store: EmbeddedStore) -> None:
    info = upload(store, SMALL)
    spec = UpdateSpec(info.data_id, info.generation)
    assert write_all(store.update(UNIT, spec), LARGE) == write_all(store.update(UNIT, spec), LARGE)


def test_a_deletion_sent_again_answers_its_revision(store: EmbeddedStore) -> None:
    info = upload(store, SMALL, name="n")
    spec = DeleteSpec("n", info.generation)
    (first,) = store.delete_many(UNIT, [spec])
    upload(store, SMALL, name="n")
    assert store.delete_many(UNIT, [spec]) == [first]
    assert store.exists_many(UNIT, ["n"]) != [0]


def test_metadata_sent_again_does_not_undo_a_change_in_between(store: EmbeddedStore) -> None:
    info = upload(store, SMALL)
    spec = MetadataSpec(info.data_id, name="first")
    first = store.set_metadata(UNIT, spec)
    store.set_metadata(UNIT, MetadataSpec(info.data_id, name="second"))
    assert store.set_metadata(UNIT, spec) == first
    assert stat(store, info.data_id).name == "second"


def test_a_request_id_stands_for_one_write(store: EmbeddedStore) -> None:
    spec = UploadSpec(7)
    write_all(store.upload(UNIT, spec), SMALL)
    (outcome,) = store.delete_many(UNIT, [DeleteSpec(7, request_id=spec.request_id)])
    assert isinstance(outcome, InvalidArgumentError)
    assert outcome.reason == "BAD_REQUEST_ID"
    with pytest.raises(InvalidArgumentError):
        store.upload("another", spec)


def test_retries_are_recognised_as_far_back_as_the_feed_reaches(store: EmbeddedStore) -> None:
    store.close()
    with EmbeddedStore(store.directory, StoreOptions(feed_history=10, resume_window=0)) as short:
        spec = UploadSpec(7)
        first = write_all(short.upload(UNIT, spec), SMALL)
        for _ in range(9):
            upload(short, SMALL)
        assert write_all(short.upload(UNIT, spec), SMALL) == first
        for _ in range(15):
            upload(short, SMALL)
        with pytest.raises(AlreadyExistsError):
            short.upload(UNIT, spec)
