"""Vault: as README shows it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xxhash
from vault import AlreadyExistsError, BatchError, BytesWrapper, ConnectionSettings, RemoteVault, Vault, tune_allocator
from vault.cli.program import program

from scripts.benchmarks.data import new_file, same, small
from scripts.benchmarks.work import Work, from_threads, one_after_another

UNIT = "bench"


def _open(address: str, *, cache: bool = False, ca: str | None = None) -> Vault:
    more = {} if ca is None else {"connection": ConnectionSettings(ca=ca)}  # which an older Vault does not know
    return RemoteVault(address, {UNIT: (BytesWrapper, 0)}, cache=cache, **more)


def _tune(tuned: bool) -> None:  # a contender's argument, handed on
    if tuned:
        tune_allocator()


def _large(vault: Vault, source: str) -> str:
    """Sees to it that the large object is there. Its name is the file's."""
    name = Path(source).name
    if not vault.exists(UNIT, name):
        with suppress(AlreadyExistsError):  # several clients begin at once
            vault.upload_file(UNIT, source, name=name)
    return name


def _small(vault: Vault, count: int) -> list[int]:
    """Sees to it that the small objects are there. Their ids, in the order of their numbers."""
    names = [f"small-{i:06}" for i in range(count)]
    missing = [i for i, found in enumerate(vault.exists_many(UNIT, names)) if not found]
    if missing:
        with suppress(BatchError):  # several clients begin at once
            vault.upload_many(UNIT, [BytesWrapper(small(i)) for i in missing], names=[names[i] for i in missing])
    return [info.data_id for info in islice(vault.list(UNIT, prefix="small-"), count)]


def _load(vault: Vault, key: int | str) -> bytes:
    ticket = vault.load(UNIT, key)
    assert ticket is not None
    with ticket:
        data: bytes = ticket.get_data().data
    return data


@contextmanager
def download_file(
    address: str, *, source: str, target: str, digest: int, durable: bool, tuned: bool = False
) -> Iterator[Work]:
    """Blocks and the whole are verified by the client itself."""
    del digest
    _tune(tuned)
    with _open(address) as vault:
        name = _large(vault, source)

        def run() -> None:
            if durable:
                vault.download_file(UNIT, name, target)
            else:
                with new_file(Path(target), durable=False) as file:
                    vault.download_file(UNIT, name, file)

        yield Work(run=run)


@contextmanager
def download_memory(
    address: str, *, source: str, digest: int, tuned: bool = False, ca: str | None = None
) -> Iterator[Work]:
    _tune(tuned)
    with _open(address, ca=ca) as vault:
        name = _large(vault, source)
        yield Work(
            run=partial(_load, vault, name),
            after=lambda data: same(xxhash.xxh3_64_intdigest(data), digest),
        )


@contextmanager
def upload_file(address: str, *, source: str, tuned: bool = False, ca: str | None = None) -> Iterator[Work]:
    _tune(tuned)
    with _open(address, ca=ca) as vault:
        yield Work(
            run=lambda: vault.upload_file(UNIT, source),
            after=lambda data_id: vault.delete(UNIT, data_id),
        )


@contextmanager
def load(address: str, *, objects: int, count: int, ca: str | None = None) -> Iterator[Work]:
    with _open(address, ca=ca) as vault:
        ids = _small(vault, objects)
        yield one_after_another(lambda number: _load(vault, ids[number % objects]), count)


@contextmanager
def load_cached(address: str, *, count: int) -> Iterator[Work]:
    """One object that the cache holds, and that every load looks up anew: it is known current by the watch."""
    with _open(address, cache=True) as vault:
        (data_id,) = _small(vault, 1)

        def run() -> bytes:
            data = b""
            for _ in range(count):
                with vault.load(UNIT, data_id) as ticket:  # type: ignore[union-attr]
                    data = ticket.get_data().data
            return data

        yield Work(run=run, count=count, before=partial(_load, vault, data_id), after=lambda data: same(data, small(0)))


@contextmanager
def load_threads(address: str, *, objects: int, count: int, threads: int) -> Iterator[Work]:
    with _open(address) as vault:
        ids = _small(vault, objects)
        yield from_threads(lambda number: _load(vault, ids[number % objects]), count, threads)


@contextmanager
def load_many(address: str, *, objects: int) -> Iterator[Work]:
    with _open(address) as vault:
        ids = _small(vault, objects)

        def run() -> list[bytes]:
            found = []
            for ticket in vault.load_many(UNIT, ids):
                assert ticket is not None
                with ticket:
                    found.append(ticket.get_data().data)
            return found

        yield Work(run=run, count=objects, after=lambda found: same(found, [small(i) for i in range(objects)]))


@contextmanager
def upload_many(address: str, *, objects: int) -> Iterator[Work]:
    with _open(address) as vault:
        items = [BytesWrapper(small(i)) for i in range(objects)]
        yield Work(
            run=lambda: vault.upload_many(UNIT, items),
            count=objects,
            after=lambda ids: vault.delete_many(UNIT, ids),
        )


@contextmanager
def put_folder(address: str, *, files: int) -> Iterator[Work]:
    """As the command does it, without the start of its process."""
    arguments = ["put", "--recursive", "--unit", UNIT, "--vault", f"grpc://{address}"]
    with _folder(files) as (folder, paths), _open(address) as vault, Path(os.devnull).open("w") as nowhere:

        def run() -> int:
            with redirect_stdout(nowhere):
                code: int = program.main([*arguments, folder], standalone_mode=False)
            return code

        def after(code: int) -> None:
            assert code == 0
            vault.delete_many(UNIT, [path.name for path in paths])

        yield Work(run=run, count=files, after=after)


@contextmanager
def upload_folder(address: str, *, files: int) -> Iterator[Work]:
    """The same files, read and uploaded in one call."""
    with _folder(files) as (_, paths), _open(address) as vault:
        names = [path.name for path in paths]
        yield Work(
            run=lambda: vault.upload_many(UNIT, [BytesWrapper(path.read_bytes()) for path in paths], names=names),
            count=files,
            after=lambda ids: vault.delete_many(UNIT, ids),
        )


@contextmanager
def _folder(files: int) -> Iterator[tuple[str, list[Path]]]:
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"file-{index:06}" for index in range(files)]
        for path in paths:
            path.write_bytes(os.urandom(4096))
        yield folder, paths


@contextmanager
def embedded_load(directory: str, *, objects: int, count: int) -> Iterator[Work]:
    with Vault(directory, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:
        ids = _small(vault, objects)
        yield one_after_another(lambda number: _load(vault, ids[number % objects]), count)


@contextmanager
def embedded_level(directory: str, *, names: int, prefixes: int, count: int) -> Iterator[Work]:
    with Vault(directory, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:

        def before() -> None:
            if vault.unit_info(UNIT).objects == names:
                return
            for first in range(0, names, 1000):
                some = [f"folder-{number % prefixes:03}/{number}" for number in range(first, first + 1000)]
                vault.upload_many(UNIT, [BytesWrapper(b"x")] * len(some), names=some)

        def after(level: Any) -> None:
            assert len(level.prefixes) == prefixes

        yield one_after_another(lambda _: vault.list_level(UNIT), count, before=before, after=after)


@contextmanager
def embedded_upload(directory: str, *, count: int) -> Iterator[Work]:
    with Vault(directory, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:
        written: list[int] = []

        def after(_: object) -> None:
            vault.delete_many(UNIT, written)
            written.clear()

        yield one_after_another(
            lambda number: written.append(vault.upload(UNIT, BytesWrapper(small(number)))), count, after=after
        )


@contextmanager
def embedded_stream(directory: str, *, count: int) -> Iterator[Work]:
    """Each object through a writer that takes its bytes one after another."""
    with Vault(directory, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:
        written: list[int] = []

        def operation(number: int) -> None:
            with vault.open_writer(UNIT) as writer:
                writer.write(small(number))
            written.append(writer.info.data_id)

        def after(_: object) -> None:
            vault.delete_many(UNIT, written)
            written.clear()

        yield one_after_another(operation, count, after=after)


@contextmanager
def embedded_update(directory: str, *, count: int) -> Iterator[Work]:
    with Vault(directory, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:
        ids = _small(vault, 1000)
        yield one_after_another(
            lambda number: vault.update(UNIT, ids[number % 1000], BytesWrapper(small(number))), count
        )


@contextmanager
def embedded_delete(directory: str, *, count: int) -> Iterator[Work]:
    with Vault(directory, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:
        ids: list[int] = []

        def before() -> None:
            ids[:] = vault.upload_many(UNIT, [BytesWrapper(small(i)) for i in range(count)])

        yield one_after_another(lambda number: vault.delete(UNIT, ids[number]), count, before=before)


@contextmanager
def among_many(address: str, *, what: str, objects: int, count: int) -> Iterator[Work]:
    """A call on a store of so many objects; see `lines/scale.py`, which made them."""
    with _open(address) as vault:
        step = max(1, objects // count)
        written: list[int] = []

        def operation(number: int) -> Any:
            place = number * step % objects
            match what:
                case "load":
                    return _load(vault, place + 1)
                case "upload":
                    return written.append(vault.upload(UNIT, BytesWrapper(small(number))))
                case "page":
                    pages = vault.list(UNIT)
                    return [next(pages) for _ in range(min(objects, 100))]
                case "name":
                    return vault.find(UNIT, f"object-{place + 1}")
                case "tag":
                    return list(vault.list(UNIT, tags={"ten": str(place // 10)}))
                case _:
                    raise ValueError(what)

        def after(_: object) -> None:
            vault.delete_many(UNIT, written)
            written.clear()

        yield one_after_another(operation, count, after=after)
