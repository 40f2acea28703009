"""A client that asks for little, and how long it waits."""

import multiprocessing
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.errors import VaultError
from vault.store.specs import LoadItem, SmallUpload, UploadSpec, new_data_id
from vault.store.values import checksum


@dataclass
class Waits:
    """Seconds that calls took, and what failed."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        errors = f", {len(self.errors)} failed ({self.errors[0]})" if self.errors else ""
        p50, p99, worst = (self.percentile(share) * 1e3 for share in (0.5, 0.99, 1))
        return f"{len(self.seconds)} calls, p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {worst:.0f} ms{errors}"

    def percentile(self, share: float) -> float:
        """The seconds that so large a share of the calls took at the most."""
        ordered = sorted(self.seconds) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextmanager
def polite(address: str, token: str = "") -> Iterator[Callable[[float], Waits]]:
    """A client in a process of its own; called with seconds, it says how long its calls took in them."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, address, token), daemon=True)
    process.start()

    def measure(seconds: float) -> Waits:
        ours.send(seconds)
        found: Waits = ours.recv()
        return found

    try:
        yield measure
    finally:
        process.kill()
        process.join()


def _serve(asked: "Connection[Any, Any]", address: str, token: str) -> None:
    while True:
        asked.send(waits(address, asked.recv(), token=token))


def waits(address: str, seconds: float, timeout: float = 60, token: str = "") -> Waits:
    """Loads, asks after and stores small things for so many seconds, each time with a new client's patience."""
    told = Waits()
    ends = time.monotonic() + seconds
    with RemoteStore(address, ConnectionSettings(timeout=timeout, token=token or None)) as store:
        data = secrets.token_bytes(100)

        def upload() -> object:
            return store.upload_many("polite", [SmallUpload(UploadSpec(new_data_id()), data, checksum(data))])

        def stream() -> object:
            with store.upload("polite", UploadSpec(new_data_id())) as writer:
                return writer.commit(0)

        calls: list[Callable[[], object]] = [
            lambda: store.load_many("u", [LoadItem(1000)]),
            lambda: store.exists_many("u", [1000]),
            upload,
            stream,
        ]
        while True:
            for call in calls:
                began = time.monotonic()
                try:
                    call()
                except VaultError as error:
                    told.errors.append(f"{error.reason}: {error}"[:100])
                told.seconds.append(time.monotonic() - began)
                if time.monotonic() > ends:
                    return told
            time.sleep(0.01)
