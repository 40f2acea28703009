"""The command cp: objects copied within a vault, or into another one, with what is known of them."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

import click

from vault.cli import signals
from vault.cli.arguments import KEY, UNIT
from vault.cli.batches import batches
from vault.cli.choice import Choice, Renaming, choice_options, renaming
from vault.cli.location import opened_at, opened_store
from vault.cli.options import Settings, dry_run_option, json_option, location_options, no_skip_option, unit_option
from vault.cli.progress import progress_of
from vault.cli.tally import Tally
from vault.cli.wording import label
from vault.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    VaultError,
)
from vault.store.blocks import check_whole
from vault.store.contract import BlockReader, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import Meter
from vault.store.specs import CopySpec, LoadItem, PutSpec, SmallPut, Times, new_data_id, new_request_id
from vault.store.values import LoadedObject, NotModified, ObjectInfo, checksum

_Objects = Sequence[tuple[ObjectInfo, str | None]]
_Copy = tuple[ObjectInfo, PutSpec]
_ATTEMPTS: Final = 16
"""Copies of the same into the same place whose request ids are told apart."""


@click.command("cp")
@click.argument("words", metavar="[KEY] [NAME]", nargs=-1, shell_complete=KEY.shell_complete)
@unit_option
@choice_options
@click.option(
    "--to", "target", metavar="LOCATION", help="The vault to copy into: a directory or a server. The same by default."
)
@click.option("--to-unit", type=UNIT, help="The unit to copy into; one of the same name by default.")
@click.option(
    "--replace", "-f", is_flag=True, help="What has the name gets the bytes, the tags and the datatype; its id stays."
)
@no_skip_option
@dry_run_option
@json_option
@location_options
def copy(
    words: Sequence[str],
    unit: str,
    choice: Choice,
    target: str | None,
    to_unit: str | None,
    *,
    recursive: bool,
    replace: bool,
    no_skip: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy objects under another name, into another unit, or into another vault.

    \\b
        vault-grpc cp draft.txt final.txt -u files
        vault-grpc cp --all -u files --to-unit archive
        vault-grpc cp --recursive photos -u files --to grpc://other:50051

    Within a vault no bytes move. Into another one, ids, names, tags, datatypes, times and expiries go along. What is
    there and equal is left alone, so a copy that was interrupted goes on when it is repeated, large objects
    in the middle. A name that is taken by something else ends with 4, unless --replace is given.
    """
    wanted = renaming(words, choice, recursive=recursive)
    if target is None and to_unit in (None, unit) and wanted.new is None:
        raise click.UsageError("a copy within its unit needs another name: KEY NAME, or what takes the prefix's place.")
    tally = Tally(as_json=as_json, dry_run=dry_run)
    settings = click.get_current_context().ensure_object(Settings)
    with (
        opened_store(shared=target is not None) as store,
        nullcontext(store)
        if target is None
        else opened_at(target, settings.connection, create=not dry_run, shared=True) as other,
    ):
        Copying(store, unit, other, to_unit or unit, tally, replace=replace, resend=no_skip).run(wanted)
    tally.end("copied")


@dataclass(frozen=True)
class Copying:
    """Objects on their way from a unit into another, of the same store or not.

    Attributes:
        replace: Whether what is there and differs is replaced.
        resend: Also what is equal is copied.
    """

    store: Store
    unit: str
    target: Store
    to_unit: str
    tally: Tally
    replace: bool
    resend: bool

    def run(self, wanted: Renaming) -> None:
        source_id = self.store.capabilities().store_id
        is_same = self.target is self.store or self.target.capabilities().store_id == source_id
        is_own = is_same and self.to_unit == self.unit
        objects = wanted.objects(self.store, self.unit)
        if is_own and self.replace:  # one that is replaced before it is copied would be lost
            objects = iter(wanted.in_order(objects))
        for batch in batches(objects):
            copies = self._to_copy(list(wanted.names(batch, self.tally)), is_own=is_own)
            if self.tally.dry_run:
                self.tally.done([dataclasses.replace(info, unit=self.to_unit, name=spec.name) for info, spec in copies])
            elif not (is_same and self._within(copies)):
                self._between(copies, source_id)

    def _to_copy(self, objects: _Objects, *, is_own: bool) -> list[_Copy]:
        """Those of which there is something to be done, and what they become; `is_own`: in the same unit."""
        there = self.target.stat_many(self.to_unit, [info.data_id if name is None else name for info, name in objects])
        copies: list[_Copy] = []
        for (info, name), present in zip(objects, there, strict=True):
            if is_own and present is not None and present.data_id == info.data_id:
                self.tally.failed(InvalidArgumentError(f"{name or info.data_id!r} would be copied onto itself"))
            elif present is not None and not self.resend and _is_equal(info, present):
                self.tally.equal()
            elif present is not None and not self.replace:
                self.tally.failed(_taken(present))
            else:
                spec = PutSpec(
                    name, new_data_id() if is_own else info.data_id, if_generation=0 if present is None else None
                )
                copies.append((info, self._known(info, spec)))
        return copies

    def _known(self, info: ObjectInfo, spec: PutSpec) -> PutSpec:
        """The spec with what is known of the object."""
        left = None
        if info.expires_at is not None:  # what has expired by now does so in the target, too, at once
            left = max((info.expires_at - self.store.time).total_seconds(), 1e-6)
        times = Times(info.created_at, info.updated_at, info.written_at or info.updated_at)
        return dataclasses.replace(spec, tags=info.tags, datatype=info.datatype, expires_in=left, times=times)

    def _within(self, copies: Sequence[_Copy]) -> bool:
        """Has the store copy them; False when it is too old to."""
        specs = [
            CopySpec(info.data_id, spec.name, spec.data_id, self.replace and spec.name is not None, info.generation)
            for info, spec in copies
        ]
        try:
            outcomes = self.store.copy_many(self.unit, specs, to_unit=self.to_unit)
        except UnsupportedError:
            return False
        self.tally.settle(zip((label(info) for info, _ in copies), outcomes, strict=True))
        return True

    def _between(self, copies: Sequence[_Copy], source_id: str) -> None:
        for batch in batches(copies, size_of=lambda each: each[0].size if each[0].size <= BLOCK_SIZE else 0):
            self._small([each for each in batch if each[0].size <= BLOCK_SIZE])
            for info, spec in batch:
                if info.size > BLOCK_SIZE:
                    self._large(info, spec, source_id)

    def _small(self, copies: Sequence[_Copy]) -> None:
        puts: list[SmallPut] = []
        labels: list[object] = []
        loaded = self.store.load_many(self.unit, [LoadItem(info.data_id) for info, _ in copies]) if copies else []
        for (info, spec), result in zip(copies, loaded, strict=True):
            try:
                if not isinstance(result, LoadedObject) or result.data is None:
                    raise result if isinstance(result, VaultError) else _changed(info)
                whole = checksum(result.data)
                check_whole(result.info, whole)
            except VaultError as error:
                self.tally.failed(error, label(info))
            else:
                puts.append(SmallPut(self._known(result.info, spec), result.data, whole))
                labels.append(label(info))
        if puts:
            self.tally.settle(zip(labels, self.target.put_many(self.to_unit, puts), strict=True))

    def _large(self, info: ObjectInfo, spec: PutSpec, source_id: str) -> None:
        # One in the middle of a call would have the target give up what it has.
        with signals.interrupts_deferred() as check_interrupts:
            try:
                spec = dataclasses.replace(spec, request_id=self._request_id(info, spec, source_id))
                with progress_of(str(spec.name or info.data_id)) as progress:
                    stored = self._stream(info, spec, Meter(progress), check_interrupts)
            except VaultError as error:
                self.tally.failed(error, label(info))
            else:
                self.tally.done([stored])

    def _stream(
        self, info: ObjectInfo, spec: PutSpec, meter: Meter, check_interrupts: Callable[[], None]
    ) -> ObjectInfo:
        writer = self.target.put(self.to_unit, spec, resumable=True)
        try:
            begin = writer.persisted_size
            meter.size(info.size)
            meter.add(begin)
            with self._reader(info, begin) as blocks:
                for block in blocks:
                    writer.write(block)  # whose checksum the target verifies
                    meter.add(len(block.data))
                    check_interrupts()
            return writer.commit(info.size, info.checksum)
        except (UnavailableError, KeyboardInterrupt):
            writer.suspend()
            raise
        except BaseException:
            writer.abort()
            raise

    def _reader(self, info: ObjectInfo, begin: int) -> BlockReader:
        reader = self.store.load(self.unit, info.data_id, offset=begin, generation=info.generation)
        if reader is None or isinstance(reader, NotModified):
            raise _changed(info)
        return reader

    def _request_id(self, info: ObjectInfo, spec: PutSpec, source_id: str) -> bytes:
        """The same for the same copy, so that it goes on where another run of the command was ended; another one once
        that is done, as it would be answered as it was then, whatever became of the copy since."""
        of_spec = (spec.name, spec.data_id, sorted(spec.tags.items()), spec.datatype, spec.if_generation, spec.times)
        of_copy = (source_id, self.unit, info.data_id, info.generation, self.to_unit, of_spec, spec.expires_in)
        for attempt in range(_ATTEMPTS):
            request_id = hashlib.blake2b(repr((attempt, of_copy)).encode(), digest_size=16).digest()
            try:
                if self.target.write_status(self.to_unit, request_id).info is None:
                    return request_id
            except NotFoundError:
                return request_id
        return new_request_id()


def _is_equal(info: ObjectInfo, there: ObjectInfo) -> bool:
    return all(getattr(info, each) == getattr(there, each) for each in ("size", "checksum", "datatype", "tags"))


def _taken(there: ObjectInfo) -> AlreadyExistsError:
    what = f"id {there.data_id}" if there.name is None else f"name {there.name!r}"
    return AlreadyExistsError(
        f"unit {there.unit!r} has something else under the {what}", reason="NAME_TAKEN", unit=there.unit
    )


def _changed(info: ObjectInfo) -> ConflictError:
    return ConflictError(f"{label(info)!r} was changed while it was copied", unit=info.unit)
