"""Many objects at a time: one round trip for hundreds of small ones."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Final, TypeVar

from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.base import AsyncVaultBase
from vault._cache.cache import Held
from vault._cache.entry import Entry
from vault.datatype import Datatype
from vault.errors import BatchError, InvalidArgumentError, VaultError
from vault.store.blocks import Encoded
from vault.store.limits import MAX_BATCH_ITEMS, check_key
from vault.store.values import DeleteSpec, Key, SmallUpload, UploadSpec

T = TypeVar("T")

_BYTES_AT_A_TIME: Final = 16 << 20  # dumped and not yet sent


class AsyncBatches(AsyncVaultBase):
    """The calls about many objects of one unit. Order is kept.

    Each item succeeds or fails alone. When some fail, one BatchError carries every item's outcome in
    `results`: what the call returns for it, or its error. What was done stays done. A call that fails as a
    whole (the unit is unknown, the vault closed, the server away) raises that error instead; then it is not
    known which items took effect. Any number of items is taken, in several requests when need be.
    """

    async def exists_many(self, unit: str, keys: Iterable[Key]) -> list[bool]:
        """Whether each object exists. Always asks the store.

        Raises:
            InvalidArgumentError: One of the keys can be none; BAD_BATCH, `keys` is one text or no list.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> await vault.exists_many("notes", [data_id, "farewell"])
            [True, False]
        """
        self._require_unit(unit)
        wanted = _listed("keys", keys)
        for key in wanted:
            check_key(key)
        found: list[bool] = []
        for start in range(0, len(wanted), MAX_BATCH_ITEMS):
            generations = await self._store.exists_many(unit, wanted[start : start + MAX_BATCH_ITEMS])
            found += [generation != 0 for generation in generations]
        return found

    async def load_many(self, unit: str, keys: Iterable[Key]) -> list[AsyncTicket | None]:
        """Tickets on the objects, None where there is none; as `load`, for all of them in one round trip.

        Objects larger than a block are streamed one after the other. A key that is given twice gets two
        tickets.

        Returns:
            Tickets, each to be closed.

        Raises:
            BatchError: Some could not be had; `results` holds the tickets of the others, **open**: close them.
            InvalidArgumentError: BAD_BATCH, `keys` is one text or no list.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> for ticket in await vault.load_many("notes", ["greeting", "farewell"]):
            ...     if ticket:
            ...         async with ticket:
            ...             print(ticket.get_data().data)
            hello
        """
        self._require_unit(unit)
        wanted = _listed("keys", keys)
        errors = {index: error for index, key in enumerate(wanted) if (error := _bad_key(key)) is not None}
        held: Held = {}
        left = held.values()
        try:
            asked = [key for index, key in enumerate(wanted) if index not in errors]
            found = await self._loader.fetch(unit, asked, held)
            results: list[Any] = []
            for index, key in enumerate(wanted):
                outcome = errors[index] if index in errors else found[key]
                if not isinstance(outcome, Entry):
                    results.append(outcome)
                elif key in held:
                    results.append(self._ticket().take(held, key))
                else:  # it was given twice
                    ticket = self._ticket()
                    self._cache.share(outcome, ticket)
                    results.append(ticket)
        finally:
            self._cache.dropped += left
        return _all_or_error(results)

    async def upload_many(
        self,
        unit: str,
        objects: Iterable[Datatype],
        *,
        names: Sequence[str | None] | None = None,
        tags: Sequence[Mapping[str, str] | None] | None = None,
    ) -> list[int]:
        """Stores new objects; as `upload`, for all of them in one round trip.

        They are stored in their order. One that does not fit a block is streamed, between the round trips of
        what comes before and after it.

        Args:
            names: One for each object, None for none.
            tags: Tags for each object, None for none.

        Returns:
            Their ids.

        Raises:
            BatchError: Some were not stored.
            InvalidArgumentError: BAD_BATCH, there are not as many names or tags as objects, or they are no lists.

        Example:
            >>> ids = await vault.upload_many("notes", [TextWrapper("a"), TextWrapper("b")], names=["first", None])
            >>> len(ids)
            2
        """
        self._require_unit(unit)
        items = _listed("objects", objects)
        for what, values in (("names", names), ("tags", tags)):
            if isinstance(values, str) or not isinstance(values, Sized | None):
                raise InvalidArgumentError(f"{what} are one for each object, not {values!r}", reason="BAD_BATCH")
            if values is not None and len(values) != len(items):
                raise InvalidArgumentError(f"{len(values)} {what} for {len(items)} objects", reason="BAD_BATCH")
        results: list[int | VaultError | None] = [None] * len(items)
        batch: dict[int, SmallUpload] = {}
        size = 0
        for index, data in enumerate(items):
            try:
                spec = self._new_spec(unit, data, names[index] if names else None, tags[index] if tags else None, None)
                encoded = await self._codecs[unit].encode(data)
            except VaultError as error:
                results[index] = error
                continue
            if encoded is None or not encoded.fits_block:
                # What comes before it goes before it: of two with one name, the first is stored.
                await self._send(unit, batch, results)
                batch, size = {}, 0
                results[index] = await self._stream(unit, spec, data, encoded)
                continue
            batch[index] = SmallUpload(spec, encoded.data, encoded.checksum)
            size += len(encoded.data)
            if size >= _BYTES_AT_A_TIME or len(batch) == MAX_BATCH_ITEMS:
                await self._send(unit, batch, results)
                batch, size = {}, 0
        await self._send(unit, batch, results)
        return _all_or_error(results)

    async def delete_many(self, unit: str, keys: Iterable[Key]) -> list[bool]:
        """Deletes objects; as `delete`, for all of them in one round trip.

        Returns:
            Whether there was one, for each.

        Raises:
            BatchError: Some could not be deleted.
            InvalidArgumentError: BAD_BATCH, `keys` is one text or no list; nothing was deleted.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> await vault.delete_many("notes", [data_id, "farewell"])
            [True, False]
        """
        self._require_unit(unit)
        results: list[bool | VaultError | None] = []
        batch: dict[int, DeleteSpec] = {}
        for index, key in enumerate(_listed("keys", keys)):
            results.append(_bad_key(key))
            if results[index] is None:
                batch[index] = DeleteSpec(key)
        places = list(batch)
        for start in range(0, len(places), MAX_BATCH_ITEMS):
            part = places[start : start + MAX_BATCH_ITEMS]
            outcomes = await self._writes.delete(unit, [batch[index] for index in part])
            for index, outcome in zip(part, outcomes, strict=True):
                results[index] = outcome if isinstance(outcome, VaultError) else outcome != 0
        return _all_or_error(results)

    async def _stream(self, unit: str, spec: UploadSpec, data: Datatype, encoded: Encoded | None) -> int | VaultError:
        try:
            return (await self._writes.stream(unit, spec, data, encoded)).data_id
        except VaultError as error:
            return error

    async def _send(self, unit: str, batch: Mapping[int, SmallUpload], results: list[int | VaultError | None]) -> None:
        if batch:
            outcomes = await self._writes.upload_small(unit, list(batch.values()))
            for index, outcome in zip(batch, outcomes, strict=True):
                results[index] = outcome if isinstance(outcome, VaultError) else outcome.data_id


def _listed(what: str, items: Iterable[T]) -> list[T]:
    """The items; InvalidArgumentError for one text, whose letters would be taken for names, or what is not several."""
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        kind = "ids or names" if what == "keys" else what
        raise InvalidArgumentError(f"{what} are several {kind}, [{items!r}] for one, not {items!r}", reason="BAD_BATCH")
    return list(items)


def _bad_key(key: Key) -> VaultError | None:
    try:
        check_key(key)
    except VaultError as error:
        return error
    return None


def _all_or_error(results: list[Any]) -> list[Any]:
    if any(isinstance(result, VaultError) for result in results):
        raise BatchError(results)
    return results
