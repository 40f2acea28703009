"""A client that asks for little, and how long it waits."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.errors import VaultError
from vault.store.values import LoadItem, SmallUpload, UploadSpec, checksum, new_data_id


@dataclass
class Waits:
    """Seconds that calls took, and what failed."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ordered = sorted(self.seconds) or [0.0]
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        errors = f", {len(self.errors)} failed ({self.errors[0]})" if self.errors else ""
        return f"{len(self.seconds)} calls, {middle * 1e3:.1f} ms, at most {worst * 1e3:.0f} ms{errors}"


def waits(address: str, seconds: float, timeout: float = 60) -> Waits:
    """Loads, asks after and stores small things for so many seconds, each time with a new client's patience."""
    told = Waits()
    ends = time.monotonic() + seconds
    with RemoteStore(address, ConnectionSettings(timeout=timeout)) as store:
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
