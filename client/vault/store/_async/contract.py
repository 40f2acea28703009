"""The contract under every Vault; `vault.store.contract` says what holds for all of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Self

from vault.errors import VaultError, unsupported, write_not_found
from vault.store._async.reopening import not_asked_for, reopener
from vault.store._async.streams import AsyncBlockReader, AsyncBlockWriter, AsyncWatch
from vault.store.blocks import cut_short, verified
from vault.store.limits import (
    BLOCK_SIZE,
    EXACT_BELOW,
    MAX_READ_BYTES,
    check_batch,
    check_lease,
    check_name,
    check_principal,
    check_ranges,
    check_request_id,
    check_resumable,
    check_spec,
    check_unit,
)
from vault.store.ranges import RangeAssembly
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.usage import PrincipalInfo, PrincipalLimits, PrincipalPage, UnitInfo, UnitLimits, UnitPage
from vault.store.values import (
    Block,
    Capabilities,
    Change,
    Key,
    ListOrder,
    LoadResult,
    NotModified,
    ObjectInfo,
    ObjectRanges,
    Page,
    WriteStatus,
)
from vault.store.write_columns import check_small_batch


class AsyncStore(ABC):
    """Bytes in units. See the module's text for what holds for all of it.

    Attributes:
        local_feed: `revision` and `changes` are cheap (microseconds) and show every commit of every process
            as soon as it is acknowledged. Where False, caches follow `watch` instead.
        local_bytes: No network is between: a block costs as much as a part of it, and a stream as much as a call.
    """

    local_feed: ClassVar[bool] = False
    local_bytes: ClassVar[bool] = False

    @property
    @abstractmethod
    def revision(self) -> int:
        """The newest revision known here, without I/O over a network; later calls show at least it."""

    @property
    def time(self) -> datetime:
        """The store's time as far as it is known here, without I/O over a network: it is never behind, so that what
        has expired is not shown. Meaningful once an object that expires was seen.
        """
        return datetime.now(UTC)

    @abstractmethod
    async def capabilities(self) -> Capabilities:
        """Who this store is, and its limits."""

    @abstractmethod
    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        """Each object's generation, 0 where there is none; in order."""

    @abstractmethod
    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        """What is known of each object, None where there is none; in order."""

    @abstractmethod
    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        order: ListOrder | None = None,
        descending: bool = False,
        after: Key | None = None,
        delimiter: str | None = None,
    ) -> Page:
        """One page of a unit's objects.

        An object that exists, unchanged as far as the order goes, during the whole listing is listed once. A page may
        be shorter than asked, and empty, where much was looked through; the last one has no token.

        Args:
            prefix: Of the name; "" for every named object.
            tags: All of them must match.
            page_size: 1 to 1,000; 0: the store's choice. Prefixes count, too.
            page_token: From the page before; the other arguments are as they were for it.
            order: None: by name when `prefix` or `delimiter` is given (objects without a name are left out), by id
                otherwise.
            descending: The last first.
            after: Begin after it, which need not exist: a name in order of names, an id or a revision in those.
            delimiter: One level, in order of names: what goes on after the prefix and up to a delimiter is in
                `Page.prefixes`, once, instead of the objects.

        Raises:
            InvalidArgumentError: BAD_PAGE_SIZE, BAD_PAGE_TOKEN, BAD_UNIT, BAD_TAGS, BAD_ORDER, BAD_DELIMITER.
            UnsupportedError: The store is an older server's, and cannot order so.
        """

    @abstractmethod
    async def list_units(self) -> list[str]:
        """The units that hold an object, in alphabetical order."""

    async def unit_info(self, unit: str) -> UnitInfo:
        """What a unit holds, and its limits; zeros for one that holds nothing."""
        check_unit(unit)
        raise unsupported(self, "unit_info")

    async def unit_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> UnitPage:  # noqa: ARG002
        """One page of the units that hold an object or have limits, in alphabetical order.

        Args:
            prefix: Only those of which this is the beginning.
            page_size, page_token: As for `list_page`.
        """
        raise unsupported(self, "unit_page")

    async def set_unit_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        """Sets how much a unit may hold; what it holds already stays until something is written to it.

        Raises:
            InvalidArgumentError: BAD_LIMIT.
        """
        check_unit(unit)
        check_spec(limits, UnitLimits)
        raise unsupported(self, "set_unit_limits")

    def for_principal(self, principal: str) -> Self:  # for those that tell principals apart
        """This store, as a principal uses it: what is written is charged to it, and a request id, a resumable write or
        a lease is known only to the principal whose it is. Closing it closes nothing.

        Raises:
            InvalidArgumentError: BAD_PRINCIPAL.
            UnsupportedError: The store does not tell them apart.
        """
        check_principal(principal)
        raise unsupported(self, "for_principal")

    async def principal_info(self, principal: str) -> PrincipalInfo:
        """What is charged to a principal, and its limits; zeros for one that wrote nothing."""
        check_principal(principal)
        raise unsupported(self, "principal_info")

    async def principal_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> PrincipalPage:  # noqa: ARG002
        """One page of the principals that something is charged to or that have limits, in alphabetical order.

        Args:
            prefix: Only those of which this is the beginning.
            page_size, page_token: As for `list_page`.
        """
        raise unsupported(self, "principal_page")

    async def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        """Sets how much may be charged to a principal. What is over a new limit stays; writes of the principal that
        would add to it are refused then, StorageFullError QUOTA, also in a unit that evicts, which evicts nothing for
        them. Deletions always pass.

        Raises:
            InvalidArgumentError: BAD_PRINCIPAL, BAD_LIMIT.
        """
        check_principal(principal)
        check_spec(limits, PrincipalLimits)
        raise unsupported(self, "set_principal_limits")

    @abstractmethod
    async def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> AsyncBlockReader | NotModified | None:
        """The object's bytes from `offset` on, as a stream of the blocks that cover them.

        Args:
            offset: Bytes; at most the object's size.
            length: Bytes; None: to the end. More than there is: to the end.
            if_generation: Raise ConflictError when the object is at another.
            if_generation_not_match: Return NotModified when the object is still at this one.
            generation: The bytes of exactly this generation, also when it was replaced or deleted since,
                for as long as the store retains it, with the name and tags that it had at the end. None:
                the present one. The preconditions are then about the generation that is asked for. A
                name leads to the object that bears it now, so ask by id for one that may
                be gone. As `generation` of Google Cloud Storage.

        Returns:
            None when there is no such object, nor a retained generation of it that was asked for.

        Raises:
            InvalidArgumentError: BAD_RANGE and what the arguments' rules say.
            ConflictError: See `if_generation`; or `generation` is asked for, the object is at another,
                and that one is not retained.
            CorruptionError: While iterating, when the store finds its bytes cut short or gone.
        """

    async def read(
        self,
        unit: str,
        key: Key,
        ranges: Sequence[tuple[int, int | None]],
        *,
        if_generation: int | None = None,
        generation: int | None = None,
        exact_below: int = EXACT_BELOW,
        max_bytes: int = MAX_READ_BYTES,
    ) -> ObjectRanges | None:
        """Parts of one generation of an object, each block read once, however many ranges touch it.

        A Store that has nothing better does it by `load`.

        Args:
            ranges: 1 to 1,000 of (offset, length), in any order, overlapping too. A negative offset counts from the
                end, as far as the object reaches; an offset past the end is BAD_RANGE. Length None: to the end; more
                than there is: to the end.
            if_generation, generation: As for `load`.
            exact_below: A block of which so many bytes are wanted, or all, is moved whole, and verified here by the
                checksum that its writer made. Another one may be verified so by a server, which then sends what is
                wanted alone, with a checksum of that. 0: all are moved whole.
            max_bytes: More than so many, in the parts or moved for them, is refused before any is read.

        Returns:
            None when there is no such object.

        Raises:
            InvalidArgumentError: BAD_RANGE; MESSAGE_TOO_LARGE, they are more than `max_bytes`, or than a reply holds:
                stream them.
            ConflictError: As for `load`.
            CorruptionError: What is stored does not match its checksum.
        """
        check_ranges(ranges, exact_below, max_bytes)
        begun = await self.load(unit, key, length=0, if_generation=if_generation, generation=generation)
        if begun is None:
            return None
        if isinstance(begun, NotModified):
            raise not_asked_for(unit, key)
        async with begun:
            info = begun.info
        assembly = RangeAssembly(info, ranges, exact_below=exact_below, max_bytes=max_bytes)
        reopen = reopener(self, info)
        whole = []
        for first, count in assembly.runs():
            index = first
            async with await reopen(first * BLOCK_SIZE, count * BLOCK_SIZE) as reader:
                async for block in reader:
                    data = verified(block, info, index)
                    assembly.take(index, data)
                    if assembly.is_whole(index):
                        whole.append(Block(block.offset, data, block.checksum))
                    index += 1
            if index < first + count:
                raise cut_short(info, index)
        return assembly.finish(whole)

    @abstractmethod
    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        """Objects of at most one block, whole; in order, each with its own outcome.

        The `data` of a larger object is None: stream it with `load`. It may also be None for a
        smaller one that did not fit the reply. The bytes are verified by the caller against
        `info.checksum`.
        """

    @abstractmethod
    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        """Begins a new object, or goes on with it.

        Args:
            resumable: What is written stays when the writer is suspended, or its process is killed, for
                the store's `resume_window`; beginning it again with the same spec then goes on at the
                writer's `persisted_size`. When it was committed already that is the size of the whole,
                and a commit of it is answered as it was then. Beginning it while another writer has it
                takes it from that one. A store that keeps nothing (`Capabilities.resume_window` is 0)
                begins anew.

        Raises (here or at the commit, which decides):
            AlreadyExistsError: OBJECT_EXISTS, the id is taken; NAME_TAKEN.
            InvalidArgumentError: The spec breaks a rule; BAD_REQUEST_ID, it is not the one that this
                resumable write was begun with.
            ConflictError: WRITE_TAKEN_OVER, at a later call: it was begun again meanwhile.
            UnavailableError: WRITE_BUSY, another process has it, and must let go of it first.
        """

    @abstractmethod
    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        """Begins new bytes for an object, or goes on with them. Its id, name and tags stay, unless the spec has tags.

        Args:
            resumable: As for `upload`.

        Raises (here or at the commit, which decides):
            NotFoundError: There is no such object.
            ConflictError: It is not at `spec.if_generation` or `spec.if_revision`; WRITE_TAKEN_OVER, as for `upload`.
            InvalidArgumentError, UnavailableError: As for `upload`.
        """

    async def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        """Begins an object, new or in the place of the one that is there, or goes on with it: see PutSpec. With an
        UpdateSpec it is `update`.

        Args:
            resumable: As for `upload`.

        Raises (here or at the commit, which decides):
            ConflictError: What is there is not at `spec.if_generation`; WRITE_TAKEN_OVER, as for `upload`.
            NotFoundError: `spec.if_generation` is above 0, and there is no such object.
            AlreadyExistsError: OBJECT_EXISTS, nobody bears the name, and the id is taken.
            InvalidArgumentError, UnavailableError: As for `upload`.
        """
        check_unit(unit)
        check_spec(spec, (PutSpec, UpdateSpec))
        check_resumable(resumable)
        raise unsupported(self, "put")

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        """How far a resumable write has come, without taking it up; what it came to when it was committed.

        What it says of one that is not committed is not verified: the writer that resumes it knows.

        Raises:
            NotFoundError: WRITE_NOT_FOUND, there is none in this unit: it was never begun, was aborted,
                or has expired.
        """
        check_unit(unit)
        check_request_id(request_id)
        raise write_not_found(unit)

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        """Gives a resumable write up, whoever has it. Harmless when there is none, or it was committed.

        Raises:
            UnavailableError: WRITE_BUSY, another process has it, and must let go of it first.
        """
        check_unit(unit)
        check_request_id(request_id)

    @abstractmethod
    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        """Stores new objects of at most one block each; in order, each with its own outcome."""

    @abstractmethod
    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        """Replaces the bytes of objects, at most one block each; in order, each with its own outcome."""

    @abstractmethod
    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        """Deletes objects; in order: the revision of each deletion, 0 where there was no object.

        Outcomes are ConflictError where `if_generation` or `if_revision` does not match an object that exists.
        """

    @abstractmethod
    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        """Changes an object's name, tags or expiry; its generation stays.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It is not at `spec.if_generation` or `spec.if_revision`.
            AlreadyExistsError: NAME_TAKEN, without `spec.replace`.
        """

    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        """Puts objects of at most one block each; in order, each with its own outcome, which is as for `put`."""
        check_unit(unit)
        check_small_batch(items, (PutSpec, UpdateSpec))
        raise unsupported(self, "put_many")

    async def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        """Changes names, tags and expiries; in order, each with its own outcome, which is as for `set_metadata`. Each
        sees what those before it did: names are swapped by way of a third.
        """
        check_unit(unit)
        check_batch(items, MetadataSpec)
        raise unsupported(self, "set_metadata_many")

    async def copy_many(
        self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None
    ) -> Sequence[ObjectInfo | VaultError]:
        """Copies objects without moving their bytes through the client; in order, each with its own outcome.

        A copy is a read of the source and then a write to the target: in a unit that evicts, the source may be what
        goes for it.

        Args:
            to_unit: None: the same.

        Outcomes are the copies, or errors:
            NotFoundError: There is no such source.
            ConflictError: The source is not at `if_generation`.
            AlreadyExistsError: OBJECT_EXISTS; NAME_TAKEN, without `replace`.
        """
        check_unit(unit)
        check_unit(unit if to_unit is None else to_unit)
        check_batch(items, CopySpec)
        raise unsupported(self, "copy_many")

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        """Takes a lease on a name, or renews it: nobody else has it for so long, unless it is released.

        It is no object, keeps nobody from writing one of that name, and may be lost when the machine is.

        Args:
            holder: Who asks: 16 random bytes.
            seconds: Above 0, at most 60.

        Returns:
            0.0: the holder has it. Above: the seconds until somebody else's ends.
        """
        check_unit(unit)
        check_name(name)
        check_lease(holder, seconds)
        raise unsupported(self, "acquire_lease")

    async def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        """Gives a lease back. Harmless when the holder does not have it."""
        check_unit(unit)
        check_name(name)
        check_lease(holder, 1.0)
        raise unsupported(self, "release_lease")

    @abstractmethod
    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        """Follows the change feed.

        Args:
            units: Only these; none: all.
            since: Changes after this revision; None: from now on.

        Raises (while iterating):
            RevisionCompactedError: `since` is older than the feed's history.
            SlowConsumerError: Too many changes waited to be fetched.
            UnavailableError: The connection was lost. Watch anew from the last revision seen.
        """

    async def changes(self, since: int) -> tuple[int, list[Change]]:  # noqa: ARG002  # for those that have one
        """Where `local_feed`: the store's revision now, and every change after `since`, without blocking.

        Raises:
            RevisionCompactedError: `since` is older than the feed's history.
            UnsupportedError: There is no local feed.
        """
        raise unsupported(self, "changes")

    @abstractmethod
    async def close(self) -> None:
        """Finishes what was acknowledged, gives everything back. Harmless when repeated.

        Later calls raise ClosedError.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
