"""Which writes the decision takes for the same one: request ids, and the hashes of what they stand for."""

import dataclasses
import math

import pytest
from vault.store.specs import DeleteSpec, MetadataSpec, Times, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo, to_time
from vault_server.storage.decision.writes import Delete, SetMetadata, Update, Upload, Write, request_hash

from tests.storage.deciding import DictIndex, content
from tests.storage.one_group import put, reason, run, up

YEAR = 366 * 86_400_000_000


def test_one_request_id_twice_in_a_group_is_applied_once() -> None:
    index = DictIndex()
    write = up(1, "a")
    first, second = run(index, [write, write])
    assert first == second
    assert index.revision == 1


@pytest.mark.parametrize(
    "other",
    [
        up(1, data=b"y", request_id=bytes(16)),
        up(2, request_id=bytes(16)),
        up(1, "a", request_id=bytes(16)),
        up(1, tags={"k": "v"}, request_id=bytes(16)),
        up(1, datatype="d", request_id=bytes(16)),
        Upload("v", UploadSpec(1, request_id=bytes(16)), content(b"x")),
        Update("u", UpdateSpec(1, request_id=bytes(16)), content(b"x")),
        Delete("u", DeleteSpec(1, request_id=bytes(16))),
        SetMetadata("u", MetadataSpec(1, request_id=bytes(16))),
        put(None, b"x", data_id=1, request_id=bytes(16)),
    ],
)
def test_a_request_id_that_stands_for_another_write_is_refused(other: Write) -> None:
    for together in (True, False):
        index = DictIndex()
        first: list[Write] = [up(1, request_id=bytes(16))]
        outcomes = run(index, [*first, other]) if together else run(index, first) + run(index, [other])
        assert reason(outcomes[1]) == "BAD_REQUEST_ID"
        assert index.revision == 1


def test_a_request_id_is_known_to_who_used_it_and_to_nobody_else() -> None:
    index = DictIndex()
    mine = Upload("u", UploadSpec(1, request_id=bytes(16)), content(b"x"), "me")
    theirs = dataclasses.replace(mine, principal="them")
    assert [type(outcome) for outcome in run(index, [mine, mine])] == [ObjectInfo] * 2
    (outcome,) = run(index, [theirs])
    assert reason(outcome) == "OBJECT_EXISTS"


SPEC = UploadSpec(1, "ab", {"k": "v", "l": "w"}, "d", bytes(16))


def test_a_requests_hash_stays_what_it_is() -> None:
    """It is in stores: one that another version or Python computes must be the same."""
    assert request_hash(Upload("u", SPEC, content(b"x"))) == HASH
    assert request_hash(Upload("u", dataclasses.replace(SPEC, tags={"l": "w", "k": "v"}), content(b"y"))) == HASH


HASH = 4_048_772_566_622_590_315


def test_requests_that_differ_in_where_a_text_ends_have_other_hashes() -> None:
    hashes = {
        request_hash(write)
        for write in (
            Upload("u", UploadSpec(1, "ab", datatype="c"), content(b"")),
            Upload("u", UploadSpec(1, "a", datatype="bc"), content(b"")),
            Upload("u", UploadSpec(1, None, datatype="abc"), content(b"")),
            Delete("u", DeleteSpec(1)),
            Delete("u", DeleteSpec("1")),
            Delete("u", DeleteSpec(1, 0)),
            SetMetadata("u", MetadataSpec(1)),
            SetMetadata("u", MetadataSpec(1, "")),
            SetMetadata("u", MetadataSpec(1, tags={})),
            SetMetadata("u", MetadataSpec(1, "a")),
            SetMetadata("u", MetadataSpec(1, "a", replace=True)),
            SetMetadata("u", MetadataSpec(1, "a", expires_in=1)),
            SetMetadata("u", MetadataSpec(1, "a", expires_in=math.inf)),
            SetMetadata("u", MetadataSpec(1, "a", if_revision=1)),
            Delete("u", DeleteSpec(1, if_revision=0)),
            Update("u", UpdateSpec(1), content(b"")),
            Update("u", UpdateSpec(1, tags={}), content(b"")),
            Update("u", UpdateSpec(1, if_revision=0), content(b"")),
            put(None, data_id=1),
            put("a", data_id=1),
            put("a", data_id=1, if_generation=0),
            put("a", data_id=1, expires_in=1),
            put("a", data_id=1, times=Times(*[to_time(YEAR)] * 3)),
        )
    }
    assert len(hashes) == 23


def test_a_put_is_answered_as_it_was_also_when_what_it_made_is_gone() -> None:
    index, write = DictIndex(), put("a", request_id=bytes(16))
    (first,) = run(index, [write])
    run(index, [Delete("u", DeleteSpec("a"))])
    assert run(index, [write]) == [first]
    assert index.objects == {}
    (other,) = run(index, [put("a", b"other", data_id=write.spec.data_id, request_id=bytes(16))])
    assert reason(other) == "BAD_REQUEST_ID"
