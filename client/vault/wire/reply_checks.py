"""Replies checked against their questions: what has to be the same in both, or ProtocolError.

Of what a server says, this is what its client can know to be wrong. What it cannot, because only the server knows
(an object that it denies, tags nobody asked for, bytes with a checksum to match), is in docs/RELIABILITY.md.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

from vault.errors import InvalidArgumentError, ProtocolError, VaultError
from vault.store.contract import LoadResult
from vault.store.limits import BLOCK_SIZE, MAX_DATA_ID, MAX_LEASE, MAX_PAGE_SIZE, check_unit
from vault.store.listing import Listing
from vault.store.ranges import RangeAssembly
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallWrite,
    UpdateSpec,
    UploadSpec,
    WriteSpec,
)
from vault.store.usage import UnitInfo, UnitLimits, UnitPage
from vault.store.values import (
    Capabilities,
    Change,
    Key,
    LoadedObject,
    NotModified,
    ObjectInfo,
    Page,
    Progress,
    WriteStatus,
)

if TYPE_CHECKING:  # embedded vaults check listings, too, and do without protobuf
    from vault.v1 import vault_pb2 as pb

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")

_MOST_SECONDS: Final = 315_576_000_000  # of a google.protobuf.Duration


def pairs(answers: Sequence[AnswerT], questions: Sequence[QuestionT]) -> Iterator[tuple[AnswerT, QuestionT]]:
    """Each answer with its question; there are as many."""
    if len(answers) != len(questions):
        raise ProtocolError(f"the server sent {len(answers)} answers to {len(questions)} questions")
    return zip(answers, questions, strict=True)


def check_info(info: ObjectInfo, unit: str, key: Key) -> ObjectInfo:
    """An object that was asked for by this key."""
    if info.unit != unit or key not in (info.data_id, info.name):
        raise ProtocolError(
            f"the server answered about object {info.data_id} ({info.name!r}) of unit {info.unit!r}, "
            f"and {key!r} of unit {unit!r} was asked for",
            unit=unit,
        )
    return info


def check_found(info: ObjectInfo | None, unit: str, key: Key) -> ObjectInfo | None:
    """What Stat says of an object."""
    return None if info is None else check_info(info, unit, key)


def check_not_modified(answer: NotModified, wanted: int | None) -> NotModified:
    """That an object is still at a generation, which has to be the one that the caller named."""
    if wanted is None or answer.generation != wanted:
        raise ProtocolError(f"the server answered 'not modified' at {answer.generation}; {wanted} was asked about")
    return answer


def check_assembly(
    info: ObjectInfo, request: "pb.ReadRequest", ranges: Sequence[tuple[int, int | None]], max_bytes: int
) -> RangeAssembly:
    """What is due of an object whose parts a Read has brought."""
    _check_asked(info, request)
    try:
        return RangeAssembly(info, ranges, exact_below=request.exact_below, max_bytes=max_bytes)
    except InvalidArgumentError as error:
        raise ProtocolError(f"the server answered a read with an object that it cannot be of: {error}") from error


def check_opened(info: ObjectInfo, request: "pb.LoadRequest") -> ObjectInfo:
    """The object whose bytes a Load opened."""
    _check_asked(info, request)
    if request.offset > info.size:
        raise ProtocolError(f"the server opened an object of {info.size} bytes at {request.offset}")
    return info


def _check_asked(info: ObjectInfo, request: "pb.LoadRequest | pb.ReadRequest") -> None:
    """The object, and the generation of it, that is to be read."""
    key: Key = request.key.name if request.key.HasField("name") else request.key.data_id
    if request.HasField("generation") and isinstance(key, str):
        key = info.data_id  # it leads to the object that bears it now, and the generation may be of before it did
    check_info(info, request.unit, key)
    for field in ("generation", "if_generation"):
        if request.HasField(field) and info.generation != getattr(request, field):
            raise ProtocolError(
                f"the server opened generation {info.generation}, and {getattr(request, field)} was asked for"
            )


def check_loaded(result: LoadResult, unit: str, item: LoadItem) -> LoadResult:
    """What became of one item of LoadMany."""
    if isinstance(result, LoadedObject):
        info, data = check_info(result.info, unit, item.key), result.data
        if data is not None and (len(data) != info.size or len(data) > BLOCK_SIZE):
            raise ProtocolError(f"the server sent {len(data)} bytes of an object of {info.size}", unit=unit)
    elif isinstance(result, NotModified):
        check_not_modified(result, item.if_generation_not_match)
    return result


def check_written(info: ObjectInfo, unit: str, spec: WriteSpec, size: int, checksum: int | None) -> ObjectInfo:
    """What a write is said to have come to."""
    wrong: tuple[str, object, object] | None = None
    if isinstance(spec, UploadSpec):
        check_info(info, unit, spec.data_id)
        if info.name != spec.name:
            wrong = "name", info.name, spec.name
    else:
        check_info(info, unit, _key_of(spec))
        least = max(spec.if_generation or 0, (isinstance(spec, UpdateSpec) and spec.if_revision) or 0)
        if info.generation <= least:
            wrong = "generation", info.generation, f"one after {least}"
        elif isinstance(spec, PutSpec) and spec.if_generation == 0 and info.data_id != spec.data_id:
            wrong = "id", info.data_id, spec.data_id
    if info.generation != info.revision:  # as it was answered when it was written
        wrong = "revision", info.revision, info.generation
    elif info.size != size:
        wrong = "size", info.size, size
    elif checksum is not None and info.checksum != checksum:
        wrong = "checksum", info.checksum, checksum
    elif spec.datatype is not None and info.datatype != spec.datatype:
        wrong = "datatype", info.datatype, spec.datatype
    wrong = wrong or _wrong_besides(info, spec)
    if wrong is not None:
        raise ProtocolError(
            f"the server answered a write to object {info.data_id} of unit {unit!r} with another {wrong[0]} than was "
            f"written: {wrong[1]!r}, not {wrong[2]!r}; what it stored is not known",
            unit=unit,
            data_id=info.data_id,
        )
    return info


def _wrong_besides(info: ObjectInfo, spec: WriteSpec) -> tuple[str, object, object] | None:
    """What is wrong with an answer's tags and times, what it is, and what it should be."""
    if spec.tags is not None and info.tags != spec.tags:
        return "tags", info.tags, spec.tags
    expires_in = spec.expires_in if isinstance(spec, PutSpec) else None
    if not isinstance(spec, UpdateSpec) and (info.expires_at is None) != (expires_in is None):
        return "expiry", info.expires_at, expires_in
    times = spec.times if isinstance(spec, PutSpec) else None
    if times is None:
        return None if info.written_at == info.updated_at else ("time", info.written_at, info.updated_at)
    for name in ("created_at", "updated_at", "written_at"):
        if getattr(info, name) > getattr(times, name):
            return name, getattr(info, name), getattr(times, name)
    return None


def _key_of(spec: UpdateSpec | PutSpec) -> Key:
    """What the object that was written is known by."""
    if isinstance(spec, UpdateSpec):
        return spec.key
    return spec.data_id if spec.name is None else spec.name


def check_small(result: ObjectInfo | VaultError, unit: str, item: SmallWrite) -> ObjectInfo | VaultError:
    """What became of one item of UploadMany, UpdateMany or PutMany."""
    if isinstance(result, VaultError):
        return result
    return check_written(result, unit, item.spec, len(item.data), item.checksum)


def check_copied(result: ObjectInfo | VaultError, unit: str, spec: CopySpec) -> ObjectInfo | VaultError:
    """What became of one item of Copy."""
    if isinstance(result, VaultError):
        return result
    check_info(result, unit, spec.data_id if spec.name is None else spec.name)
    if (
        result.name != spec.name
        or result.generation != result.revision
        or (not spec.replace and result.data_id != spec.data_id)
    ):
        raise ProtocolError(
            f"the server answered a copy to object {result.data_id} of unit {unit!r} with another one: what it stored "
            "is not known",
            unit=unit,
            data_id=result.data_id,
        )
    return result


def check_deleted(result: int | VaultError, item: DeleteSpec) -> int | VaultError:
    """What became of one item of Delete: the revision of the deletion; 0 where there was no object."""
    least = max(item.if_generation or 0, item.if_revision or 0)
    if isinstance(result, int) and (result > MAX_DATA_ID or 0 < result <= least):
        raise ProtocolError(f"the server says that an object was deleted at revision {result}, which can be none")
    return result


def check_metadata(info: ObjectInfo, unit: str, spec: MetadataSpec) -> ObjectInfo:
    """What a change of metadata is said to have come to."""
    renamed = spec.name is not None
    check_info(info, unit, info.data_id if renamed and isinstance(spec.key, str) else spec.key)
    if (
        (renamed and info.name != (spec.name or None))
        or (spec.tags is not None and info.tags != spec.tags)
        or (spec.if_generation is not None and info.generation != spec.if_generation)
        or info.revision <= (spec.if_revision or 0)
        or (spec.expires_in is not None and (info.expires_at is None) != (spec.expires_in == math.inf))
        or info.generation == info.revision
    ):
        raise ProtocolError(
            f"the server answered a change of object {info.data_id} of unit {unit!r} with another one: "
            "what it stored is not known",
            unit=unit,
            data_id=info.data_id,
        )
    return info


def check_write_status(status: WriteStatus, unit: str) -> WriteStatus:
    """How far a write has come."""
    if status.persisted_size > MAX_DATA_ID or (status.info is not None and status.info.unit != unit):
        raise ProtocolError("the server answered about another write than the one that was asked about", unit=unit)
    return status


def check_generation(generation: int) -> int:
    """What Exists says of an object."""
    if generation > MAX_DATA_ID:
        raise ProtocolError(f"the server sent a generation that can be none: {generation}")
    return generation


def check_page(page: Page, listing: Listing, *, page_size: int, page_token: str) -> Page:
    """A page of a listing: no more than was asked for, of this unit, each entry once and in order, and matching."""
    unit, prefix, tags = listing.unit, listing.prefix, listing.tags
    if len(page.objects) + len(page.prefixes) > (page_size or MAX_PAGE_SIZE):
        raise ProtocolError(
            f"the server sent {len(page.objects)} objects and {len(page.prefixes)} prefixes "
            f"for a page of {page_size or MAX_PAGE_SIZE}"
        )
    if page.next_page_token and page.next_page_token == page_token:
        raise ProtocolError("the server sent a page that leads to itself", unit=unit)
    for info in page.objects:
        check_info(info, unit, info.data_id)
        name = info.name
        if (
            (prefix is not None and (name is None or not name.startswith(prefix)))
            or (listing.delimiter is not None and name is not None and listing.prefix_of(name) is not None)
            or (tags and not tags.items() <= info.tags.items())
        ):
            raise ProtocolError(f"the server listed object {info.data_id}, which does not match", unit=unit)
    ids = {info.data_id for info in page.objects}
    names = [info.name for info in page.objects if info.name is not None]
    if len(ids) < len(page.objects) or len(set(names)) < len(names):
        raise ProtocolError("the server listed an object, or a name, twice", unit=unit)
    for text in page.prefixes:
        if not text.startswith(prefix or "") or listing.prefix_of(text) != text:
            raise ProtocolError(f"the server listed {text!r}, which is no prefix of this level", unit=unit)
    check_places(page, listing, listing.after)
    return page


def check_places(page: Page, listing: Listing, last: Key | None) -> Key | None:
    """The last place in a page. Objects and prefixes are each in order, and after where the page before ended."""
    ends = []
    for places in ([listing.place(info) for info in page.objects], page.prefixes):
        end = last
        for place in places:
            if end is not None and (place is None or not listing.follows(place, end)):
                raise ProtocolError(
                    f"the server listed {place!r} after {end!r}: out of order, or twice", unit=listing.unit
                )
            end = place
        ends.append(end)
    known = [end for end in ends if end is not None]
    return (min if listing.descending else max)(known, default=None)


def check_units(units: Sequence[str]) -> list[str]:
    """The units of a store: each once, in order."""
    return _check_names("unit", units, check_unit)


def _check_names(what: str, names: Sequence[str], check: Callable[[str], None]) -> list[str]:
    """What may be names of such, each once, in order."""
    try:
        for name in names:
            check(name)
    except InvalidArgumentError as error:
        raise ProtocolError(f"the server listed a {what} that can be none: {error}") from error
    if any(one >= other for one, other in pairwise(names)):
        raise ProtocolError(f"the server listed {what}s out of order, or twice")
    return list(names)


def check_page_of(
    what: str,
    names: Sequence[str],
    next_page_token: str,
    asked: "pb.StatUnitsRequest | pb.StatPrincipalsRequest",
    check: Callable[[str], None],
) -> None:
    """A page of units, or of principals: no more than was asked for, each once and in order, and with the prefix."""
    most = asked.page_size or MAX_PAGE_SIZE
    if len(names) > most:
        raise ProtocolError(f"the server sent {len(names)} {what}s for a page of {most}")
    if next_page_token and next_page_token == asked.page_token:
        raise ProtocolError("the server sent a page that leads to itself")
    if not all(name.startswith(asked.prefix) for name in _check_names(what, names, check)):
        raise ProtocolError(f"the server listed {what}s that do not begin with {asked.prefix!r}")


def check_lease_of(acquired: bool, remaining: float) -> float:  # noqa: FBT001  # as it was answered
    """Whose a lease is: the holder's (0.0), or somebody else's for so long."""
    if acquired:
        return 0.0
    if not 0 < remaining <= MAX_LEASE:
        raise ProtocolError(f"the server says that another has the lease for {remaining} s, which can be no time")
    return remaining


def check_unit_info(info: UnitInfo, unit: str) -> UnitInfo:
    """What a unit holds, which is the one that was asked for."""
    if info.unit != unit or max(info.objects, info.bytes, info.revision) > MAX_DATA_ID:
        raise ProtocolError(
            f"the server said of unit {unit!r} what can be of none: {info.objects} objects of {info.bytes} bytes in "
            f"{info.unit!r}, at {info.revision}",
            unit=unit,
        )
    return info


def check_limited(info: UnitInfo, unit: str, limits: UnitLimits) -> UnitInfo:
    """What a unit holds when limits were set, which are those."""
    check_unit_info(info, unit)
    if info.limits != limits:
        raise ProtocolError(f"the server set {info.limits} where {limits} were asked for", unit=unit)
    return info


def check_unit_page(page: UnitPage, asked: "pb.StatUnitsRequest") -> UnitPage:
    """A page of units, with figures that can be theirs."""
    units = [check_unit_info(info, info.unit).unit for info in page.units]
    check_page_of("unit", units, page.next_page_token, asked, check_unit)
    return page


def check_capabilities(capabilities: Capabilities) -> Capabilities:
    """What a server can do: numbers that a client can work with."""
    if capabilities.block_size != BLOCK_SIZE:
        raise ProtocolError(f"the server's blocks are of {capabilities.block_size} bytes, and not of {BLOCK_SIZE}")
    if not 0 <= capabilities.resume_window <= _MOST_SECONDS:
        raise ProtocolError(f"the server keeps writes for {capabilities.resume_window} s, which can be no time")
    if capabilities.max_message_size > MAX_DATA_ID:
        raise ProtocolError(f"the server takes messages of {capabilities.max_message_size} bytes")
    check_units(sorted(capabilities.allowed_units))
    return capabilities


class FeedOrder:
    """A watch's events: of the units that were asked for, each once, in order, after where it begins."""

    def __init__(self, units: Sequence[str], since: int | None) -> None:
        self._units = frozenset(units)
        self._since = since
        self._revision: int | None = None

    def check(self, event: Change | Progress) -> Change | Progress:
        """The next event. Raises ProtocolError when it cannot be that."""
        known, revision = self._revision, event.revision
        if known is None:
            if not isinstance(event, Progress) or (self._since is not None and revision != self._since):
                raise ProtocolError(
                    f"the server began a watch with {event}, and not with the progress that it starts from"
                )
        elif revision < known or (revision == known and isinstance(event, Change)):
            raise ProtocolError(f"the server went back in its feed, to {event} after revision {known}")
        if isinstance(event, Change) and self._units and event.unit not in self._units:
            raise ProtocolError(f"the server sent a change of unit {event.unit!r}, which was not asked for")
        if revision > MAX_DATA_ID:
            raise ProtocolError(f"the server sent a revision that can be none: {revision}")
        self._revision = revision
        return event
