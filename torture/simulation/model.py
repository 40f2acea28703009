"""What a store may answer: one after the other, in the order of the revisions."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from vault.errors import VaultError
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, PutSpec, UpdateSpec, UploadSpec
from vault.store.values import ChangeKind, ObjectInfo, from_time
from vault_server.storage.decision.rows import CHANGE_COLUMNS, unpack_tags

from torture.simulation.world import ViolationError, World

_REQUEST = CHANGE_COLUMNS.index("request_id")
_KIND = CHANGE_COLUMNS.index("kind")
_CHECKSUM = CHANGE_COLUMNS.index("checksum")
_TAGS = CHANGE_COLUMNS.index("tags")
_EXPIRES = CHANGE_COLUMNS.index("expires_at")


class Seen(NamedTuple):
    """An object, as far as it matters."""

    name: str | None
    tags: tuple[tuple[str, str], ...]
    checksum: int
    generation: int
    revision: int
    expires_at: int | None = None


State = dict[int, Seen]
"""What has expired is in it until that is told as a deletion, and is nobody's to see."""


@dataclass(slots=True, eq=False)
class Request:
    """A write that was asked for, under one request id, however often.

    Attributes:
        data: Its bytes' checksum.
        source: What a copy has read, in some state before the one that it is decided in.
        begun: The highest revision that had been acknowledged when it was first sent.
        answers: What each try was answered, with the highest revision acknowledged when it was sent and the store's
            when it was answered, and the two times.
    """

    spec: UploadSpec | UpdateSpec | PutSpec | DeleteSpec | MetadataSpec | CopySpec
    data: int = 0
    begun: int = 0
    answers: list[tuple[Any, int, int, int, int]] = field(default_factory=list)
    source: tuple[int, Seen] | None = None


@dataclass(slots=True, eq=False)
class Read:
    """What was seen of some keys in one moment between two revisions; a listing when there are no keys."""

    keys: list[int | str]
    found: list[tuple[int, Seen] | None]
    begun: int
    ended: int
    begun_at: int
    ended_at: int


@dataclass(slots=True)
class History:
    """What clients asked for and were told."""

    requests: dict[bytes, Request] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    feeds: list[list[tuple[int, int]]] = field(default_factory=list)


def seen(info: ObjectInfo) -> Seen:
    expires_at = None if info.expires_at is None else from_time(info.expires_at)
    return Seen(info.name, tuple(sorted(info.tags.items())), info.checksum, info.generation, info.revision, expires_at)


def live(state: State, now: int) -> State:
    """Without what has expired."""
    return {key: there for key, there in state.items() if there.expires_at is None or there.expires_at > now}


def find(state: State, key: int | str) -> int | None:
    if isinstance(key, int):
        return key if key in state else None
    return next((data_id for data_id, there in state.items() if there.name == key), None)


def decide(state: State, request: Request, revision: int, now: int) -> tuple[State, Any]:
    """What a request comes to at a revision: the state after it, and what it is answered: a reason, where refused."""
    there = live(state, now)
    after, answer = _decide(there, request, revision, now)
    expired = {key: gone for key, gone in state.items() if key not in there}
    if expired.keys() & after.keys() or {gone.name for gone in expired.values()} & {
        made.name for made in after.values() if made.name is not None
    }:
        return state, "what has expired is in its place, and not told as deleted"
    return {**expired, **after}, answer


def _expiry(seconds: float | None, now: int) -> int | None:
    return None if seconds is None or seconds == math.inf else now + round(seconds * 1e6)


def _decide(state: State, request: Request, revision: int, now: int) -> tuple[State, Any]:
    spec = request.spec
    if isinstance(spec, UploadSpec):
        if spec.data_id in state:
            return state, "OBJECT_EXISTS"
        if spec.name is not None and find(state, spec.name) is not None:
            return state, "NAME_TAKEN"
        made = Seen(spec.name, tuple(sorted(spec.tags.items())), request.data, revision, revision)
        return {**state, spec.data_id: made}, (spec.data_id, made)
    if isinstance(spec, PutSpec):
        return _put(state, spec, request.data, revision, now)
    if isinstance(spec, CopySpec):
        return _copy(state, spec, request.source, revision, now)
    data_id = find(state, spec.key)
    if data_id is None:
        return state, 0 if isinstance(spec, DeleteSpec) else "OBJECT_NOT_FOUND"
    there = state[data_id]
    if spec.if_generation not in (None, there.generation):
        return state, "GENERATION_MISMATCH"
    if spec.if_revision not in (None, there.revision):
        return state, "REVISION_MISMATCH"
    if isinstance(spec, DeleteSpec):
        return {key: other for key, other in state.items() if key != data_id}, revision
    if isinstance(spec, MetadataSpec):
        if spec.name and spec.name != there.name and (holder := find(state, spec.name)) is not None:
            if not spec.replace:
                return state, "NAME_TAKEN"
            state = {key: other for key, other in state.items() if key != holder}
        name = there.name if spec.name is None else spec.name or None
        tags = there.tags if spec.tags is None else tuple(sorted(spec.tags.items()))
        until = there.expires_at if spec.expires_in is None else _expiry(spec.expires_in, now)
        made = there._replace(name=name, tags=tags, revision=revision, expires_at=until)
    else:
        tags = there.tags if spec.tags is None else tuple(sorted(spec.tags.items()))
        made = there._replace(tags=tags, checksum=request.data, generation=revision, revision=revision)
    return {**state, data_id: made}, (data_id, made)


def _put(state: State, spec: PutSpec, data: int, revision: int, now: int) -> tuple[State, Any]:
    data_id = find(state, spec.data_id if spec.name is None else spec.name)
    if data_id is None:
        if spec.if_generation:
            return state, "OBJECT_NOT_FOUND"
        if spec.data_id in state:
            return state, "OBJECT_EXISTS"
    elif spec.if_generation not in (None, state[data_id].generation):
        return state, "GENERATION_MISMATCH"
    name = spec.name if data_id is None else state[data_id].name
    until = _expiry(spec.expires_in, now)
    made = Seen(name, tuple(sorted(spec.tags.items())), data, revision, revision, until)
    data_id = data_id or spec.data_id
    return {**state, data_id: made}, (data_id, made)


def _copy(state: State, spec: CopySpec, source: tuple[int, Seen] | None, revision: int, now: int) -> tuple[State, Any]:
    if source is None or (source[1].expires_at is not None and source[1].expires_at <= now):
        return state, "OBJECT_NOT_FOUND"
    source_id, there = source
    owner = None if spec.name is None else find(state, spec.name)
    if spec.if_generation not in (None, there.generation):
        return state, "GENERATION_MISMATCH"
    if owner is None and spec.data_id in state:
        return state, "OBJECT_EXISTS"
    if owner is not None and not spec.replace:
        return state, "NAME_TAKEN"
    if owner == source_id:
        return state, "BAD_NAME"
    made = Seen(spec.name, there.tags, there.checksum, revision, revision, there.expires_at)
    data_id = spec.data_id if owner is None else owner
    return {**state, data_id: made}, (data_id, made)


def _possible(states: list[State], request: Request, first: int, last: int) -> Iterator[Request]:
    """The request; of a copy, with each source that it can have read from the first of these states to the last."""
    if not isinstance(request.spec, CopySpec):
        yield request
        return
    for state in states[first : last + 1]:
        data_id = find(state, request.spec.key)
        yield replace(request, source=None if data_id is None else (data_id, state[data_id]))


def _applied(states: list[State], request: Request, change: tuple[Any, ...]) -> tuple[State, Any]:
    """What a request came to that was applied with this change; of a copy, with the source that it shows."""
    revision = change[0]
    found: tuple[State, Any] = states[-1], "OBJECT_NOT_FOUND"
    for possible in _possible(states, request, request.begun, revision - 1):
        found = decide(states[-1], possible, revision, change[_KIND + 1])
        if not isinstance(request.spec, CopySpec):
            break
        tags = tuple(sorted(unpack_tags(change[_TAGS]).items()))
        shown = (change[_CHECKSUM] % (1 << 64), tags, change[_EXPIRES])
        if isinstance(found[1], tuple) and (found[1][1].checksum, found[1][1].tags, found[1][1].expires_at) == shown:
            break
        found = states[-1], "no source that it can have read"
    return found


def told(answer: Any) -> Any:
    """An answer, as `decide` says it."""
    if isinstance(answer, VaultError):
        return answer.reason
    return (answer.data_id, seen(answer)) if isinstance(answer, ObjectInfo) else answer


def judge(world: World, history: History) -> None:
    """Raises ViolationError where what was told is not what one after the other can have come to."""
    states: list[State] = [{}]
    applied: dict[bytes, tuple[int, Any]] = {}
    clock = 0
    aside: int | None = None  # what a rename has just deleted for its name; nobody sees it gone before the rename
    for revision, change in enumerate(world.log, 1):
        request_id = change[_REQUEST]
        if change[0] != revision:
            raise ViolationError(f"revision {change[0]} was committed where {revision} comes next")
        if request_id in applied:
            raise ViolationError(f"one request was applied at {applied[request_id][0]} and at {revision}")
        if change[_KIND + 1] < clock:
            raise ViolationError(f"the store's time went back at {revision}")
        clock = change[_KIND + 1]
        expired = states[-1].get(change[2])
        if request_id is None and expired is not None and (expired.expires_at or clock + 1) <= clock:
            if aside is not None or change[_KIND] != ChangeKind.DELETED.value:
                raise ViolationError(f"{expired} has expired, and is not deleted at {revision}")
            states.append({key: other for key, other in states[-1].items() if key != change[2]})
            continue
        if request_id is None:
            if aside is not None or change[_KIND] != ChangeKind.DELETED.value:
                raise ViolationError(f"nobody asked for the change at {revision}")
            aside = change[2]
            states.append(states[-1])
            continue
        request = history.requests[request_id]
        state, answer = _applied(states, request, change)
        if isinstance(answer, str) or answer == 0:
            raise ViolationError(f"{request.spec} was applied at {revision}, and is to be refused: {answer}")
        gone = states[-1].keys() - state.keys() if isinstance(request.spec, MetadataSpec) else set()
        if gone != ({aside} - {None}):
            raise ViolationError(f"{request.spec} at {revision} deletes {gone}, and {aside} was deleted for it")
        aside = None
        applied[request_id] = revision, answer
        states.append(state)
        if revision <= request.begun:
            raise ViolationError(f"{request.spec} was applied at {revision}, and begun after {request.begun} was told")
    moments = sorted({change[_EXPIRES] for change in world.log} - {None})
    for request_id, request in history.requests.items():
        at, right = applied.get(request_id, (len(states), None))
        for answer, begun, ended, *between in request.answers:
            what = told(answer)
            if isinstance(what, tuple) or (isinstance(what, int) and what > 0):
                if what != right or at > ended:
                    raise ViolationError(f"{request.spec} was answered {what}; at {at} it came to {right}")
            elif what not in ("STORAGE_FAILED", right) and not any(
                decide(states[k], possible, k + 1, now)[1] == what
                for k in range(begun, min(ended, at - 1) + 1)
                for possible in _possible(states, request, begun, k)
                for now in _times(moments, *between)
            ):
                raise ViolationError(f"{request.spec} was answered {what}, never right between {begun} and {ended}")
    for read in history.reads:
        times = _times(moments, read.begun_at, read.ended_at)
        if not any(_shows(live(states[k], now), read) for k in range(read.begun, read.ended + 1) for now in times):
            raise ViolationError(f"{read.keys} were {read.found}, never right between {read.begun} and {read.ended}")
    for feed in history.feeds:
        wrong = [(change[0], change[2]) for change in world.log]
        if feed != wrong:
            raise ViolationError(f"a watcher was told {feed}, not {wrong}")
    _judge_tables(world, states[-1])


def _times(moments: list[int], begun: int, ended: int) -> list[int]:
    """Times between two, one for each way in which something may have expired until then."""
    return [begun, *moments[bisect_right(moments, begun) : bisect_right(moments, ended)]]


def _shows(state: State, read: Read) -> bool:
    if not read.keys:
        return read.found == sorted(state.items())
    found = [find(state, key) for key in read.keys]
    return read.found == [None if data_id is None else (data_id, state[data_id]) for data_id in found]


def _judge_tables(world: World, state: State) -> None:
    tables = world.tables
    rows = {
        row.data_id: Seen(
            row.name,
            tuple(sorted(unpack_tags(row.tags).items())),
            row.checksum % (1 << 64),
            row.generation,
            row.revision,
            row.expires_at,
        )
        for row in tables._objects.values()
    }
    if rows != state:
        raise ViolationError(f"the store has {rows}, and is to have {state}")
    referenced = [row.content for row in tables._objects.values()] + [row[13] for row in tables._retired.values()]
    if sorted(referenced) != sorted(tables._contents):
        raise ViolationError("contents and generations do not belong together")
    for content in tables._contents.values():
        if content.file is not None and content.file not in world.blobs:
            raise ViolationError(f"the bytes of {content.file} are gone")
    for usage in tables._usage.values():
        sizes = [row.size for row in tables._objects.values() if row.unit == usage.unit]
        if usage[1:3] != (len(sizes), sum(sizes)):
            raise ViolationError(f"{usage} is not what {sizes} come to")
