"""An index of dicts that plans are applied to, the writes that are put to it, and what must come of them."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from vault.errors import VaultError
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, PutSpec, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo, checksum, to_time
from vault_server.storage.decision.plan import Account, Answer, Facts, Found, Outcome, Plan, Retention, Usage
from vault_server.storage.decision.rows import CHANGE_COLUMNS, RETIRED_COLUMNS, Row, pack_checksums, unpack_tags
from vault_server.storage.decision.writes import (
    Content,
    ContentWrite,
    Copy,
    Delete,
    Drop,
    Put,
    SetMetadata,
    Update,
    Upload,
    Write,
    asked,
)

UNITS = ("u", "v")
NAMES = ("a", "b", "c")
RETENTIONS = (Retention(300_000_000), Retention(), Retention(1_000, history=3, window=2))


def content(data: bytes, file: str | None = None) -> Content:
    blocks = pack_checksums([checksum(data)] if data else [])
    return Content(len(data), checksum(data), blocks, data if file is None else None, file)


@dataclass
class DictIndex:
    """Tables as dicts by their unique keys: meeting one twice, or none where there must be one, fails."""

    revision: int = 0
    clock: int = 0
    feed_floor: int = 0
    objects: dict[tuple[str, int], Row] = field(default_factory=dict)
    contents: dict[int, Content] = field(default_factory=dict)
    retired: dict[int, dict[str, Any]] = field(default_factory=dict)
    changes: dict[int, dict[str, Any]] = field(default_factory=dict)
    tags: set[tuple[str, str, str, int]] = field(default_factory=set)
    trash: set[str] = field(default_factory=set)
    units: dict[str, Usage] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)

    def facts(self, writes: list[Write], retention: Retention) -> Facts:
        wanted = asked(writes)
        named = {(row.unit, row.name): row for row in self.objects.values() if row.name is not None}
        found = [self.objects[key] for key in wanted.ids + wanted.new_ids if key in self.objects]
        found += [named[key] for key in wanted.names + wanted.new_names if key in named]
        answers = {
            (told["principal"], told["request_id"]): Answer(told["kind"], told["request_hash"], change_info(told))
            for told in self.changes.values()
            if told["request_id"] in wanted.requests
        }
        ideal = [revision for revision in self.changes if revision <= self.revision - retention.history]
        least = [revision for revision in self.changes if revision <= self.feed_floor + retention.step]
        floors = sorted({max(some) for some in (ideal, least) if some}, reverse=True)
        return Facts(
            self.revision,
            self.clock,
            self.feed_floor,
            {(row.unit, row.data_id): Found(row, self.contents[row.content].file) for row in found},
            {},
            answers,
            {unit: self.units[unit] for unit in wanted.units if unit in self.units},
            [(revision, self.changes[revision]["committed_at"]) for revision in floors],
            accounts={name: self.accounts[name] for name in wanted.principals if name in self.accounts},
        )

    def apply(self, plan: Plan) -> None:
        """In the order that the plan promises to be free of conflicts."""
        assert plan.begun_at == self.revision
        if plan.revision == plan.begun_at:
            return
        for tag in plan.untagged:
            self.tags.remove(tag)
        for key in plan.deleted:
            del self.objects[key]
        for key in plan.unnamed:
            self.objects[key] = self.objects[key]._replace(name=None)
        for row in plan.updated:
            assert (row.unit, row.data_id) in self.objects
            self._put(row)
        for row in plan.inserted:
            assert (row.unit, row.data_id) not in self.objects
            self._put(row)
        for tag in plan.tagged:
            assert tag not in self.tags
            self.tags.add(tag)
        for number in plan.dropped:
            del self.contents[number]
        for new in plan.contents:
            assert new.number not in self.contents
            self.contents[new.number] = new.content
        for file in plan.trash:
            assert file not in self.trash
            self.trash.add(file)
        for retired in plan.retired:
            assert retired[0] not in self.retired
            self.retired[retired[0]] = dict(zip(RETIRED_COLUMNS, retired, strict=True))
        for change in plan.changes:
            self.changes[change[0]] = dict(zip(CHANGE_COLUMNS, change, strict=True))
        for usage in plan.units:
            self.units[usage.unit] = usage
        for principal, objects, size in plan.charges:
            assert objects or size
            account = self.accounts.get(principal, Account(principal))
            self.accounts[principal] = account._replace(objects=account.objects + objects, bytes=account.bytes + size)
        self.revision, self.clock = plan.revision, plan.clock
        if plan.feed_floor is not None:
            self.feed_floor = plan.feed_floor
            for revision in [revision for revision in self.changes if revision <= plan.feed_floor]:
                del self.changes[revision]
        self.assert_sound()

    def _put(self, row: Row) -> None:
        for other in self.objects.values():
            assert row.name is None or (other.unit, other.name) != (row.unit, row.name) or other.data_id == row.data_id
        self.objects[row.unit, row.data_id] = row

    def assert_sound(self) -> None:
        """What must hold between the tables after every group."""
        assert sorted(self.changes) == list(range(self.feed_floor + 1, self.revision + 1))
        referenced = [row.content for row in self.objects.values()] + [
            kept["content"] for kept in self.retired.values()
        ]
        assert sorted(referenced) == sorted(self.contents), "each content belongs to one generation, and none is over"
        assert not self.trash & {kept.file for kept in self.contents.values()}
        assert self.tags == {
            (unit, tag, value, data_id)
            for (unit, data_id), row in self.objects.items()
            for tag, value in unpack_tags(row.tags).items()
        }
        for principal in {row.principal for row in self.objects.values()} | self.accounts.keys():
            sizes = [row.size for row in self.objects.values() if row.principal == principal != ""]
            account = self.accounts.get(principal, Account(principal))
            assert account[1:3] == (len(sizes), sum(sizes)), principal
        for unit, usage in self.units.items():
            rows = [row for row in self.objects.values() if row.unit == unit]
            assert usage[1:3] == (len(rows), sum(row.size for row in rows))
            assert usage.revision == max(
                (revision for revision, told in self.changes.items() if told["unit"] == unit), default=usage.revision
            )


def change_info(told: dict[str, Any]) -> Row:
    """The object as a change tells of it."""
    return Row(**{name: told[name] for name in Row._fields[:13]})


@dataclass
class Expected:
    """What a store holds after writes, one after the other, and what each is answered: written for reading."""

    revision: int = 0
    objects: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    applied: dict[tuple[str, bytes], tuple[tuple[Any, ...], Any]] = field(default_factory=dict)
    now: int = 0

    def outcome(self, write: Write, now: int = 0) -> Any:
        """A dict of the object, a revision, or the reason that it is refused for."""
        self.now = max(now, self.now)
        size = write.content.size if isinstance(write, ContentWrite) else 0
        whole = write.content.checksum if isinstance(write, ContentWrite) else 0
        request = (write.kind, write.unit, write.spec, size, whole, getattr(write, "from_unit", None))
        known = self.applied.get((write.principal, write.spec.request_id))
        if known is not None:
            return known[1] if known[0] == request else "BAD_REQUEST_ID"
        outcome = self._outcome(write)
        if not isinstance(outcome, str) and outcome != 0:
            self.applied[write.principal, write.spec.request_id] = (request, outcome)
        return outcome

    def _outcome(self, write: Write) -> Any:
        assert not isinstance(write, Drop)
        unit, spec = write.unit, write.spec
        if isinstance(write, Upload):
            if self._find(unit, write.spec.data_id) is not None:
                return "OBJECT_EXISTS"
            if write.spec.name is not None and self._find(unit, write.spec.name) is not None:
                return "NAME_TAKEN"
            self.revision += 1
            made = {
                "data_id": write.spec.data_id,
                "name": write.spec.name,
                "tags": dict(write.spec.tags),
                "datatype": write.spec.datatype,
                "checksum": write.content.checksum,
                "generation": self.revision,
                "revision": self.revision,
                "expires_at": None,
            }
            self.objects[unit, write.spec.data_id] = made
            return dict(made)
        if isinstance(write, Put):
            return self._put(write)
        if isinstance(write, Copy):
            return self._copy(write)
        assert not isinstance(spec, UploadSpec | PutSpec | CopySpec)
        there = self._find(unit, spec.key)
        if there is None:
            return 0 if isinstance(write, Delete) else "OBJECT_NOT_FOUND"
        if spec.if_generation not in (None, there["generation"]):
            return "GENERATION_MISMATCH"
        if spec.if_revision not in (None, there["revision"]):
            return "REVISION_MISMATCH"
        wants = write.spec.name if isinstance(write, SetMetadata) else None
        if wants and wants != there["name"] and (other := self._find(unit, wants)) is not None:
            if not (isinstance(write, SetMetadata) and write.spec.replace):
                return "NAME_TAKEN"
            self.revision += 1
            del self.objects[unit, other["data_id"]]
        self.revision += 1
        there["revision"] = self.revision
        if isinstance(write, Delete):
            del self.objects[unit, there["data_id"]]
            return self.revision
        if isinstance(write, SetMetadata):
            if write.spec.name is not None:
                there["name"] = write.spec.name or None
            if write.spec.tags is not None:
                there["tags"] = dict(write.spec.tags)
            if write.spec.expires_in is not None:
                there["expires_at"] = self._expiry(write.spec.expires_in)
        else:
            if write.spec.tags is not None:
                there["tags"] = dict(write.spec.tags)
            there["generation"] = self.revision
            there["checksum"] = write.content.checksum
            there["datatype"] = there["datatype"] if write.spec.datatype is None else write.spec.datatype
        return dict(there)

    def _put(self, write: Put) -> Any:
        unit, spec = write.unit, write.spec
        there = self._find(unit, spec.data_id if spec.name is None else spec.name)
        if there is None and spec.if_generation:
            return "OBJECT_NOT_FOUND"
        if there is None and self._find(unit, spec.data_id) is not None:
            return "OBJECT_EXISTS"
        if there is not None and spec.if_generation not in (None, there["generation"]):
            return "GENERATION_MISMATCH"
        self.revision += 1
        made = there or {"data_id": spec.data_id, "name": spec.name}
        made |= {
            "tags": dict(spec.tags),
            "datatype": spec.datatype,
            "checksum": write.content.checksum,
            "generation": self.revision,
            "revision": self.revision,
            "expires_at": self._expiry(spec.expires_in),
        }
        self.objects[unit, made["data_id"]] = made
        return dict(made)

    def _copy(self, write: Copy) -> Any:
        unit, spec, source = write.unit, write.spec, write.source
        if source is None:
            return "OBJECT_NOT_FOUND"
        there = None if spec.name is None else self._find(unit, spec.name)
        if there is None and self._find(unit, spec.data_id) is not None:
            return "OBJECT_EXISTS"
        if there is not None and not spec.replace:
            return "NAME_TAKEN"
        if there is not None and (unit, there["data_id"]) == (write.from_unit, source.data_id):
            return "BAD_NAME"
        self.revision += 1
        made = there or {"data_id": spec.data_id, "name": spec.name}
        made |= {
            "tags": dict(source.tags),
            "datatype": source.datatype,
            "checksum": write.content.checksum,
            "generation": self.revision,
            "revision": self.revision,
            "expires_at": source.expires_at,
        }
        self.objects[unit, made["data_id"]] = made
        return dict(made)

    def _expiry(self, seconds: float | None) -> datetime | None:
        return None if seconds is None or seconds == math.inf else to_time(self.now + round(seconds * 1e6))

    def _find(self, unit: str, key: int | str) -> dict[str, Any] | None:
        """What has expired is deleted when it is come upon."""
        for (of_unit, data_id), there in self.objects.items():
            if of_unit == unit and key == (there["name"] if isinstance(key, str) else data_id):
                if there["expires_at"] is None or there["expires_at"] > to_time(self.now):
                    return there
                self.revision += 1
                del self.objects[of_unit, data_id]
                return None
        return None


def told(outcome: Outcome, expected: Any) -> Any:
    """An outcome as `Expected` says it."""
    if isinstance(outcome, VaultError):
        return outcome.reason
    if isinstance(outcome, int):
        return outcome
    return {name: getattr(outcome, name) for name in expected} if isinstance(expected, dict) else outcome


@st.composite
def write_lists(draw: st.DrawFn, blobs: bool = True) -> list[Write]:  # Hypothesis passes it so
    """Writes on few objects and names, so that they get in each other's way; some are sent again, or their ids are."""
    writes: list[Write] = []
    data = st.sampled_from([b"", b"1", b"22", b"333"])
    ids, names, units = st.integers(1, 4), st.sampled_from(NAMES), st.sampled_from(UNITS[: draw(st.integers(1, 2))])
    expiries = st.none() | st.none() | st.sampled_from([1e-6, 2e-6, 4e-6])  # groups are a microsecond apart
    tags = st.dictionaries(st.sampled_from("kl"), st.sampled_from("xy"))
    for number in range(draw(st.integers(1, 24))):
        if writes and draw(st.integers(0, 9)) == 0:
            writes.append(writes[draw(st.integers(0, len(writes) - 1))])
            continue
        request_id = number.to_bytes(16, "big")
        if writes and draw(st.integers(0, 9)) == 0:
            request_id = writes[draw(st.integers(0, len(writes) - 1))].spec.request_id
        file = f"u/{number}" if blobs and draw(st.booleans()) else None
        unit, key = draw(units), draw(ids | names)
        generation = draw(st.none() | st.integers(1, number + 1))
        revision = draw(st.none() | st.none() | st.integers(1, number + 1))
        principal = draw(st.sampled_from(["", "", "somebody", "another"]))
        spec: Any
        match draw(st.integers(0, 7)):
            case 0 | 1:
                spec = UploadSpec(
                    draw(ids), draw(st.none() | names), draw(tags), draw(st.sampled_from("de")), request_id
                )
                writes.append(Upload(unit, spec, content(draw(data), file), principal))
            case 2:
                datatype, retagged = draw(st.none() | st.sampled_from("de")), draw(st.none() | tags)
                spec = UpdateSpec(key, generation, datatype, request_id, revision, retagged)
                writes.append(Update(unit, spec, content(draw(data), file), principal))
            case 3:
                writes.append(Delete(unit, DeleteSpec(key, generation, request_id, revision), principal))
            case 4 | 5:
                wanted = draw(st.none() | st.just(0) | st.integers(1, number + 1))
                spec = PutSpec(
                    draw(st.none() | names),
                    draw(ids),
                    draw(tags),
                    draw(st.sampled_from("de")),
                    wanted,
                    draw(expiries),
                    request_id,
                )
                writes.append(Put(unit, spec, content(draw(data), file), principal))
            case 6:
                copied_name = draw(st.none() | names)
                replace = copied_name is not None and draw(st.booleans())
                bytes_of, moment = content(draw(data), file), datetime(2026, 1, 1, tzinfo=UTC)
                told_of = (draw(st.sampled_from("de")), draw(st.none() | names), draw(tags), moment, moment)
                source = ObjectInfo(draw(units), draw(ids), 1, 1, bytes_of.size, bytes_of.checksum, *told_of)
                spec = CopySpec(key, copied_name, draw(ids), replace, generation, request_id)
                known = source if draw(st.integers(0, 5)) else None
                writes.append(Copy(unit, spec, source.unit, known, bytes_of, principal))
            case _:
                name = draw(st.none() | st.just("") | names)
                replace = bool(name) and draw(st.booleans())
                until = draw(expiries | st.just(math.inf))
                spec = MetadataSpec(key, name, draw(st.none() | tags), generation, request_id, revision, replace, until)
                writes.append(SetMetadata(unit, spec, principal))
    return writes


def in_groups(writes: list[Write], sizes: list[int]) -> list[list[Write]]:
    """The writes cut into groups of these sizes, and one of the rest."""
    groups = []
    for size in sizes:
        groups.append(writes[:size])
        writes = writes[size:]
    return [group for group in [*groups, writes] if group]
