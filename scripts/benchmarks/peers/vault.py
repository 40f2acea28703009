"""Vault: as README shows it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import vault

from scripts.benchmarks.data import Source, small
from scripts.benchmarks.work import Peer

UNIT = "bench"


class Kept(list[bytes]):
    """What is written to it, piece by piece."""

    def write(self, piece: bytes) -> int:
        self.append(piece)
        return len(piece)


class Vault(Peer):
    """A server's, or a directory's.

    `place`: an address, or a path. `tuned`: as a program that opted for `tune_allocator`.
    """

    verifies = True

    def __init__(
        self, place: str, *, cache: bool = False, tuned: bool = False, ca: str | None = None, connections: int = 0
    ) -> None:
        if tuned:
            vault.tune_allocator()
        more: dict[str, Any] = {} if ca is None else {"connection": vault.ConnectionSettings(ca=ca)}
        more |= {"connections": connections} if connections else {}
        self.place = place if place.startswith("/") or "://" in place else f"grpc://{place}"
        self.vault = vault.Vault(self.place, {UNIT: (vault.BytesWrapper, 0)}, cache=cache, **more)
        self._ca = ca
        self.written: list[int] = []

    def close(self) -> None:
        self.vault.close()

    def hold(self, source: Source) -> str:
        if not self.vault.exists(UNIT, source.name):  # by a process of its own: this one's memory is looked at
            command = [sys.executable, "-m", __spec__.name, self.place, source.path, self._ca or ""]
            subprocess.run(command, check=True)
        return source.name

    def keys(self, objects: int) -> list[int]:
        names = [f"small-{number:06}" for number in range(objects)]
        missing = [number for number, found in enumerate(self.vault.exists_many(UNIT, names)) if not found]
        if missing:
            with suppress(vault.BatchError):  # several clients begin at once
                items = [vault.BytesWrapper(small(number)) for number in missing]
                self.vault.upload_many(UNIT, items, names=[names[number] for number in missing])
        return [info.data_id for info in islice(self.vault.list(UNIT, prefix="small-"), objects)]

    def fetch(self, name: str, file: BinaryIO) -> None:
        self.vault.download_file(UNIT, name, file)

    def fetch_path(self, name: str, path: str) -> None:
        self.vault.download_file(UNIT, name, path)

    def whole(self, name: str) -> bytes:
        return self.get(name)

    def kept(self, name: str) -> list[bytes]:
        pieces = Kept()
        self.vault.download_file(UNIT, name, cast("BinaryIO", pieces))
        return pieces

    def send(self, path: str) -> int:
        return self.vault.upload_file(UNIT, path)

    def forget(self, sent: int) -> None:
        self.vault.delete(UNIT, sent)

    def get(self, key: int | str) -> bytes:
        with self.vault.load(UNIT, key) as ticket:  # type: ignore[union-attr]
            data: bytes = ticket.get_data().data
        return data

    def get_many(self, keys: list[int]) -> list[bytes]:
        found = []
        for ticket in self.vault.load_many(UNIT, keys):
            assert ticket is not None
            with ticket:
                found.append(ticket.get_data().data)
        return found

    def set_many(self, items: list[bytes]) -> list[int]:
        return self.vault.upload_many(UNIT, [vault.BytesWrapper(item) for item in items])

    def delete_many(self, keys: list[int]) -> None:
        self.vault.delete_many(UNIT, keys)

    def set(self, _number: int, data: bytes) -> None:
        self.written.append(self.vault.upload(UNIT, vault.BytesWrapper(data)))

    def clear(self) -> None:
        self.vault.delete_many(UNIT, self.written)
        self.written.clear()

    fill = set_many

    def delete(self, key: int) -> bool:
        return self.vault.delete(UNIT, key)

    def memoize(self, function: Callable[[int], str]) -> Callable[[int], str]:
        return self.vault.unit("texts", str).memoize(name=function.__name__)(function)

    def ranges(self, name: str, ranges: list[tuple[int, int]]) -> list[bytes]:
        return self.vault.read_ranges(UNIT, name, ranges)


class AsyncVault(Vault):
    """An asynchronous client on a loop of its own; the synchronous one beside it makes what it loads."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.runner = asyncio.Runner()
        self._async = self.runner.run(self._open())

    async def _open(self) -> vault.AsyncVault:
        return vault.AsyncVault(self.place, {UNIT: (vault.BytesWrapper, 0)}, cache=False)

    def close(self) -> None:
        self.runner.run(self._async.close())
        self.runner.close()
        super().close()

    async def get(self, key: int | str) -> bytes:  # type: ignore[override]
        async with await self._async.load(UNIT, key) as ticket:  # type: ignore[union-attr]
            data: bytes = ticket.get_data().data
        return data


if __name__ == "__main__":
    place, path, ca = sys.argv[1:]
    with Vault(place, ca=ca or None) as client, suppress(vault.AlreadyExistsError):  # several begin at once
        client.vault.upload_file(UNIT, path, name=Path(path).name)
