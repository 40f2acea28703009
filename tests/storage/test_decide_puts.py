"""The decision on puts, renames over a name, expiries and revisions."""

import dataclasses
import math
from typing import Any

import pytest
from vault.errors import ConflictError, VaultError
from vault.store.specs import DeleteSpec, MetadataSpec, Times, UpdateSpec
from vault.store.values import ChangeKind, ObjectInfo, to_time
from vault_server.storage.decision.decide import preview
from vault_server.storage.decision.writes import Delete, Put, SetMetadata, Update, Write

from tests.storage.deciding import DictIndex, content
from tests.storage.one_group import NOTHING, RETENTION, names, put, reason, renamed, run, up, uploaded

YEAR = 366 * 86_400_000_000


def test_every_kind_of_change_is_made_by_a_write() -> None:
    index = DictIndex()
    run(index, [put("a", data_id=1), put("a"), renamed("a", "b"), Delete("u", DeleteSpec("b"))])
    assert [told["kind"] for told in index.changes.values()] == [kind.value for kind in ChangeKind]


def test_a_put_keeps_the_id_and_the_beginning_of_what_it_replaces_and_nothing_else() -> None:
    index = DictIndex()
    run(index, [up(1, "a", tags={"k": "v"}, datatype="d")], clock=1_000)
    (info,) = run(index, [put("a", data_id=2, expires_in=1.5)], clock=2_000)
    assert isinstance(info, ObjectInfo)
    assert (info.data_id, info.tags, info.datatype) == (1, {}, "")
    (row,) = index.objects.values()
    assert (row.created_at, row.updated_at, row.written_at, row.expires_at) == (1_000, 2_000, 2_000, 1_502_000)
    (info,) = run(index, [put("a")])
    assert isinstance(info, ObjectInfo)
    assert info.expires_at is None


def test_an_expiry_is_kept_by_an_update_and_set_or_taken_by_metadata() -> None:
    index = DictIndex()
    run(index, [put("a", data_id=1, expires_in=1), Update("u", UpdateSpec("a"), content(b"y"))], clock=1_000)
    assert index.objects["u", 1].expires_at == 1_001_000
    for expires_in, expected in ((None, 1_001_000), (5, 5_002_000), (math.inf, None)):
        run(index, [SetMetadata("u", MetadataSpec("a", expires_in=expires_in))], clock=2_000)
        assert index.objects["u", 1].expires_at == expected


def test_times_that_are_taken_over_are_never_later_than_the_stores() -> None:
    index = DictIndex()
    times = Times(*[to_time(moment) for moment in (YEAR, 3 * YEAR, 2 * YEAR)])
    for _ in range(2):  # new, and replaced
        run(index, [put("a", data_id=1, times=times)], clock=2 * YEAR + 5)
        row = index.objects["u", 1]
        assert (row.created_at, row.written_at, row.updated_at) == (YEAR, 2 * YEAR, 2 * YEAR + 5)


def test_a_rename_over_a_name_deletes_what_bore_it_in_the_same_group_and_is_answered_once() -> None:
    for retention in (RETENTION, NOTHING):
        index = uploaded(1, 2, named=True)
        write = SetMetadata("u", MetadataSpec(1, "b", replace=True))
        first, again = run(index, [write, write], retention)
        assert first == again
        assert names(index) == {1: "b"}
        assert [(told["kind"], told["data_id"]) for told in index.changes.values()][2:] == [(4, 2), (3, 1)]
        assert [told["request_id"] for told in index.changes.values()][2:] == [None, write.spec.request_id]
        assert run(index, [write], retention) == [first]
        assert index.revision == 4


def test_an_object_renamed_onto_itself_stays() -> None:
    index = uploaded(1, named=True)
    (info,) = run(index, [SetMetadata("u", MetadataSpec("a", "a", replace=True))])
    assert isinstance(info, ObjectInfo)
    assert names(index) == {1: "a"}


def test_a_rename_that_is_refused_deletes_nothing() -> None:
    index = uploaded(1, 2, named=True)
    writes: list[Write] = [
        SetMetadata("u", MetadataSpec("a", "b", replace=True, if_revision=9)),
        SetMetadata("u", MetadataSpec("a", "b", {"k\n": "v"}, replace=True)),
    ]
    assert list(map(reason, run(index, writes))) == ["REVISION_MISMATCH", "BAD_TAGS"]
    assert names(index) == {1: "a", 2: "b"}


def test_a_revision_that_is_not_the_objects_refuses_and_says_which_it_is_at() -> None:
    for write in (
        Update("u", UpdateSpec(1, if_revision=1), content(b"y")),
        Delete("u", DeleteSpec(1, if_revision=1)),
        SetMetadata("u", MetadataSpec(1, tags={}, if_revision=1)),
    ):
        index = uploaded(1, named=True)
        run(index, [renamed(1, "z")])
        (refused,) = run(index, [write])
        assert reason(refused) == "REVISION_MISMATCH"
        assert isinstance(refused, ConflictError)
        assert (refused.context["revision"], refused.context["wanted"]) == (2, 1)
        spec: Any = dataclasses.replace(write.spec, if_revision=2)
        (done,) = run(index, [dataclasses.replace(write, spec=spec)])
        assert not isinstance(done, VaultError)


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (put("a", if_generation=0), "GENERATION_MISMATCH"),
        (put("a", if_generation=7), "GENERATION_MISMATCH"),
        (put("z", if_generation=7), "OBJECT_NOT_FOUND"),
        (put("z", data_id=1), "OBJECT_EXISTS"),
        (put(None, data_id=9, if_generation=1), "OBJECT_NOT_FOUND"),
        (put("z\n"), "BAD_NAME"),
        (put("a", tags={"k\n": "v"}), "BAD_TAGS"),
        (put("a", datatype="d\u2028"), "BAD_DATATYPE"),
    ],
)
def test_a_put_is_refused_before_its_bytes_come_and_at_its_commit(write: Put, why: str) -> None:
    index = uploaded(1, named=True)
    with pytest.raises(VaultError) as raised:
        preview(index.facts([write], RETENTION), write, 0)
    assert raised.value.reason == why
    assert list(map(reason, run(index, [write]))) == [why]


def test_of_two_puts_that_want_nobody_there_the_second_is_refused() -> None:
    index = DictIndex()
    first, second = run(index, [put("a", if_generation=0), put("a", if_generation=0)])
    assert isinstance(first, ObjectInfo)
    assert reason(second) == "GENERATION_MISMATCH"
