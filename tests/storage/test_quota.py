"""Units and principals with limits: any writes come to what they come to one after the other, however many are evicted
at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault.errors import StorageFullError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, MetadataSpec, PutSpec, UpdateSpec, UploadSpec, new_request_id
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitLimits
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore, MemoryStore, StoreOptions
from vault_server.storage.decision import quota
from vault_server.storage.decision.writes import Delete, Put, SetMetadata, Update, Upload, Write
from vault_server.storage.index import units
from vault_server.storage.index.units import oldest

from tests.storage.deciding import content
from tests.storage.objects import UNIT, start, update, upload

FEW = 2  # evicted in one transaction, here
PRINCIPALS = ["ann", "bob"]
Round = tuple[UnitLimits | None, tuple[str, PrincipalLimits] | None, list[Write]]

FILLING = """
import sys
from tests.storage.objects import upload
from vault_server import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    print("ready", flush=True)
    for number in range(int(sys.argv[2]), int(sys.argv[2]) + 150):
        upload(store, b"x" * 10, data_id=number)
"""


@dataclass
class Model:
    """One unit: ids, names, sizes and who is charged, in the order in which the objects were stored."""

    limits: UnitLimits = field(default_factory=UnitLimits)
    of_principals: dict[str, PrincipalLimits] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)

    def write(self, write: Write) -> str:
        """What it is refused for; "" when it is not."""
        spec: Any = write.spec
        if isinstance(write, Upload):
            if self._find(spec.data_id) is not None:
                return "OBJECT_EXISTS"
            if spec.name is not None and self._find(spec.name) is not None:
                return "NAME_TAKEN"
            return self._store(None, write, spec.data_id, spec.name)
        if isinstance(write, Put):
            there = self._find(spec.data_id if spec.name is None else spec.name)
            if there is not None:
                return self._store(there, write, there["id"], there["name"])
            if self._find(spec.data_id) is not None:
                return "OBJECT_EXISTS"
            return self._store(None, write, spec.data_id, spec.name)
        there = self._find(spec.key)
        if there is None:
            return "" if isinstance(write, Delete) else "OBJECT_NOT_FOUND"
        if isinstance(write, Update):
            return self._store(there, write, there["id"], there["name"])
        if isinstance(write, Delete):
            self.objects.remove(there)
        return ""

    def _store(self, there: dict[str, Any] | None, write: Any, data_id: int, name: str | None) -> str:
        size = write.content.size
        new = {"id": data_id, "name": name, "size": size, "owner": write.principal}
        limits = self.of_principals.get(write.principal)
        if limits is not None:
            after = [*(each for each in self.objects if each is not there), new]
            counts = zip(self.charged(write.principal, self.objects), self.charged(write.principal, after), strict=True)
            for (was, now), most in zip(counts, (limits.max_objects, limits.max_bytes), strict=True):
                if now > was and most is not None and now > most:
                    return "QUOTA"
        if self.limits.when_full == "evict":
            if self._most_objects < 1 or size > self._most_bytes:
                return "QUOTA"
            others = [each for each in self.objects if each is not there]
            while len(others) + 1 > self._most_objects or self._size(others) + size > self._most_bytes:
                others.pop(0)
            self.objects = others
        else:
            others = [each for each in self.objects if each is not there]
            if there is None and len(others) + 1 > self._most_objects:
                return "QUOTA"
            if self._size(others) + size > max(self._most_bytes, self._size(self.objects)):
                return "QUOTA"
            self.objects = others
        self.objects.append(new)
        return ""

    @staticmethod
    def charged(principal: str, objects: list[dict[str, Any]]) -> tuple[int, int]:
        sizes = [each["size"] for each in objects if each["owner"] == principal]
        return len(sizes), sum(sizes)

    def account(self, principal: str) -> PrincipalInfo:
        limits = self.of_principals.get(principal, PrincipalLimits())
        return PrincipalInfo(principal, *self.charged(principal, self.objects), limits)

    def _find(self, key: int | str) -> dict[str, Any] | None:
        of = "name" if isinstance(key, str) else "id"
        return next((each for each in self.objects if each[of] == key), None)

    @staticmethod
    def _size(objects: list[dict[str, Any]]) -> int:
        return sum(each["size"] for each in objects)

    @property
    def _most_objects(self) -> float:
        return float("inf") if self.limits.max_objects is None else self.limits.max_objects

    @property
    def _most_bytes(self) -> float:
        return float("inf") if self.limits.max_bytes is None else self.limits.max_bytes


@st.composite
def _writes(draw: st.DrawFn) -> Write:
    ids, names = st.integers(1, 9), st.sampled_from("abc")
    new = content(b"x" * draw(st.integers(0, 4)))
    key, request_id, whose = draw(ids | names), new_request_id(), draw(st.sampled_from(["", *PRINCIPALS]))
    match draw(st.integers(0, 7)):
        case 0 | 1 | 2:
            spec = UploadSpec(draw(ids), draw(st.none() | names), request_id=request_id)
            return Upload(UNIT, spec, new, whose)
        case 3 | 4:
            return Put(UNIT, PutSpec(draw(st.none() | names), draw(ids), request_id=request_id), new, whose)
        case 5:
            return Update(UNIT, UpdateSpec(key, request_id=request_id), new, whose)
        case 6:
            return Delete(UNIT, DeleteSpec(key, request_id=request_id), whose)
        case _:
            return SetMetadata(UNIT, MetadataSpec(key, tags={"a": "b"}, request_id=request_id), whose)


_LIMITS = st.builds(
    UnitLimits,
    st.none() | st.integers(0, 5),
    st.none() | st.integers(0, 12),
    st.sampled_from(["refuse", "evict", "evict"]),
)
_OF_A_PRINCIPAL = st.tuples(
    st.sampled_from(PRINCIPALS),
    st.builds(PrincipalLimits, st.none() | st.integers(0, 4), st.none() | st.integers(0, 8)),
)
_ROUNDS = st.lists(
    st.tuples(st.none() | _LIMITS, st.none() | _OF_A_PRINCIPAL, st.lists(_writes(), max_size=12)), max_size=6
)


def assert_as_the_model(store: EmbeddedStore | MemoryStore, rounds: list[Round]) -> None:
    model = Model()
    for limits, of_a_principal, writes in rounds:
        if limits is not None:
            model.limits = limits
            store.set_unit_limits(UNIT, limits)
        if of_a_principal is not None:
            principal, most = of_a_principal
            model.of_principals[principal] = most
            assert store.set_principal_limits(principal, most) == model.account(principal)
        outcomes = store.commits.commit(writes) if writes else []
        told = [outcome.reason if isinstance(outcome, VaultError) else "" for outcome in outcomes]
        assert told == [model.write(write) for write in writes]
        held = sorted(store.list_page(UNIT, page_size=1000).objects, key=lambda info: info.generation)
        assert [(info.data_id, info.name, info.size) for info in held] == [
            tuple(each.values())[:3] for each in model.objects
        ]
        accounts = [model.account(principal) for principal in PRINCIPALS]
        assert [store.principal_info(principal) for principal in PRINCIPALS] == accounts
        assert store.principal_page().principals == [each for each in accounts if each.objects or each.limits.are_set]
        counted = store.unit_info(UNIT)
        assert (counted.objects, counted.bytes) == (len(held), sum(info.size for info in held))


@pytest.mark.parametrize("most", [FEW, quota.MOST_EVICTED])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=_ROUNDS)
def test_writes_in_memory_come_to_what_they_come_to_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, most: int, rounds: list[Round]
) -> None:
    monkeypatch.setattr(quota, "MOST_EVICTED", most)
    with MemoryStore() as store:
        assert_as_the_model(store, rounds)


@pytest.mark.parametrize("most", [FEW, quota.MOST_EVICTED])
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=_ROUNDS)
def test_writes_to_a_directory_come_to_what_they_come_to_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    rounds: list[Round],
) -> None:
    monkeypatch.setattr(quota, "MOST_EVICTED", most)
    with EmbeddedStore(tmp_path_factory.mktemp("quota"), StoreOptions(durability="relaxed")) as store:
        assert_as_the_model(store, rounds)
        report = store.check(deep=True)
        assert report.ok, report


@pytest.mark.parametrize("kind", ["directory", "memory"])
def test_what_is_refused_before_a_write_that_evicts_much_stays_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(quota, "MOST_EVICTED", FEW)
    with MemoryStore() if kind == "memory" else EmbeddedStore(tmp_path / "store") as store:
        filled: list[Write] = [Upload(UNIT, UploadSpec(number), content(b"x")) for number in range(1, 8)]
        writes: list[Write] = [Upload(UNIT, UploadSpec(number), content(b"x")) for number in (1, 8, 1, 9)]
        assert_as_the_model(store, [(None, None, filled), (UnitLimits(max_objects=2, when_full="evict"), None, writes)])


def test_a_write_that_damage_leaves_no_room_for_keeps_none_from_the_next(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        for number in (1, 2, 3):
            upload(store, b"data", data_id=number)
        store.set_unit_limits(UNIT, UnitLimits(max_bytes=12, when_full="evict"))
        damaging = "UPDATE objects SET tags = ? WHERE data_id = 1"
        store.engine.writer.submit(lambda connection: connection.execute(damaging, ("x",))).result()
        writes = [Upload(UNIT, UploadSpec(number), content(b"x" * size)) for number, size in ((4, 12), (5, 4))]
        refused, stored = store.commits.commit(writes)
        assert isinstance(refused, StorageFullError)
        assert not isinstance(stored, VaultError)
        assert store.exists_many(UNIT, [1, 2, 3, 4]) == [1, 0, 3, 0]
        store.engine.writer.submit(lambda connection: connection.execute(damaging, (None,))).result()


def test_several_processes_keep_a_unit_within_its_limits(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        store.set_unit_limits(UNIT, UnitLimits(max_objects=10, max_bytes=95, when_full="evict"))
        other = start(FILLING, directory, 1000)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        for number in range(1, 100):
            upload(store, b"x" * 10, data_id=number)
            held = store.unit_info(UNIT)
            assert held.objects <= 9
            assert held.bytes <= 95
        other.communicate()
        assert other.returncode == 0
        assert store.unit_info(UNIT).objects == 9
        newest = store.list_page(UNIT).objects
        assert min(info.generation for info in newest) > store.revision - 20
        assert store.check(deep=True).ok


def test_a_stream_is_refused_long_before_its_end_where_it_is_too_much(directory: Path) -> None:
    block = b"x" * BLOCK_SIZE
    with EmbeddedStore(directory) as store:
        store.set_unit_limits(UNIT, UnitLimits(max_bytes=3 * BLOCK_SIZE))
        with store.upload(UNIT, UploadSpec(1)) as writer:
            with pytest.raises(StorageFullError) as caught:
                for number in range(100):
                    writer.write(Block(number * BLOCK_SIZE, block, checksum(block)))
            assert caught.value.reason == "QUOTA"
            assert number < 8
        store.set_unit_limits(UNIT, UnitLimits(max_objects=0))
        with pytest.raises(StorageFullError):
            store.upload(UNIT, UploadSpec(1))
        assert list(directory.glob(".staging/*/*")) == []


def test_what_was_stored_longest_ago_is_found_by_indexes(directory: Path) -> None:
    """However many objects a unit has, and however many of them had their metadata changed."""
    with EmbeddedStore(directory) as store:
        store.set_unit_limits(UNIT, UnitLimits(max_objects=10, when_full="evict"))
        for number in range(1, 6):
            upload(store, b"data", data_id=number)
        for number in (1, 3, 2):
            store.set_metadata(UNIT, MetadataSpec(number, tags={"a": "b"}))
        update(store, 4, b"new")
        plans: list[str] = []

        def explained(connection: Any) -> Any:
            found = oldest(connection, UNIT, 10)
            for statement in statements:
                plans.extend(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", (UNIT,)))
            return found

        statements = (units._AS_WRITTEN, units._CHANGED)
        found = store.engine.connections.read(explained)
        assert [each.row.data_id for each in found.found] == [1, 2, 3, 5, 4]
        assert found.complete
        text = " ".join(plans)
        assert "objects_by_revision" in text
        assert "objects_by_generation" in text
        assert "SCAN" not in text
        assert "TEMP B-TREE" not in text


def test_a_register_from_before_gets_the_index_that_evicting_needs(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, b"data", data_id=1)
        store.engine.writer.submit(lambda connection: connection.execute("DROP INDEX objects_by_generation")).result()
        store.set_unit_limits(UNIT, UnitLimits(max_objects=1, when_full="evict"))
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'objects_by_generation'"
        assert store.engine.connections.read(lambda connection: connection.execute(query).fetchone()) == (1,)
        upload(store, b"data", data_id=2)
        assert store.exists_many(UNIT, [1]) == [0]
