"""The walk: every reply of every operation with every field bent, and what comes of it."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vault import AsyncVault, Vault
from vault._async.remote import AsyncRemoteStore
from vault._sync.remote import RemoteStore
from vault.errors import VaultError
from vault.store import AsyncStore
from vault.testing.faces import AsyncFace
from vault.testing.vault_faces import as_async_vault
from vault_server import EmbeddedStore, Server

from tests.hostile.bends import Bent, Recorder, changes, changing, reply_of
from tests.hostile.operations import OPERATIONS, STRUCTURE, Operation, fill, outcome, restore
from tests.hostile.server import HostileServer, honest

TIMEOUT: Final = 0.5
MOST: Final = 4 * TIMEOUT + 3.0
"""Seconds that a call may take: signs of life are believed for four times the timeout; the machine is shared."""


@dataclass
class Report:
    """What the walk has found.

    Attributes:
        raised: How often which error.
        right: How often the answer was the right one all the same.
        believed: How often a bent answer was shown, of a field that nothing can be held against.
        broken: What must never be: other exceptions, other bent answers, and calls that took too long.
        slowest: Seconds that a call took at most.
    """

    raised: Counter[str] = field(default_factory=Counter)
    right: int = 0
    believed: int = 0
    broken: list[str] = field(default_factory=list)
    slowest: float = 0.0


@contextlib.contextmanager
def hostile(directory: Path) -> Iterator[tuple[EmbeddedStore, HostileServer]]:
    """A store with what the operations expect, and a server before it that lies."""
    with EmbeddedStore(directory) as store:
        fill(store)
        with Server(store) as server, HostileServer(server.address) as liar:
            yield store, liar


@contextlib.asynccontextmanager
async def client(face: str, address: str) -> AsyncIterator[tuple[AsyncVault, AsyncStore]]:
    """A vault and its store, sync behind the async shape or async."""
    if face == "async":
        async with (
            AsyncRemoteStore(address, timeout=TIMEOUT) as store,
            AsyncVault(store, STRUCTURE, cache=False) as vault,
        ):
            yield vault, store
        return
    with RemoteStore(address, timeout=TIMEOUT) as behind, Vault(behind, STRUCTURE, cache=False) as sync_vault:
        yield as_async_vault(sync_vault), AsyncFace(behind)


_TIMES: Final = {"created_at", "updated_at"}

BELIEVED: Final[Mapping[str, frozenset[str]]] = {
    method: frozenset(fields)
    for method, fields in {
        # Whether there is an object, and what it is: nobody else knows.
        "Exists": {"generations"},
        "Stat": {"items.info"},
        "List": {"objects", ""},
        "ListUnits": {"units", ""},
        "LoadMany": {"items.object", "items.not_modified", "items.error"},
        # Not its bytes, their size or their checksum.
        "Load": {f"info.{field}" for field in {"generation", "revision", "datatype", "name", "tags"} | _TIMES},
        # Not what was written.
        "UploadMany": {"results.error"},
        "UpdateMany": {f"results.info.{field}" for field in ("data_id", "name", "tags", "created_at")},
        "Update": {f"info.{field}" for field in ("data_id", "name", "tags", "created_at")},
        "SetMetadata": {f"info.{field}" for field in ("size", "checksum", "datatype")},
        "Delete": {"results.revision"},
        "GetCapabilities": {"store_id", "server_version", "max_message_size", "max_batch_items", "resume_window"},
        "GetWriteStatus": {"persisted_size"},
        "Upload": {"persisted_size"},  # of a write that was begun by somebody else
        "Watch": {"change.data_id", "change.kind", "change.name", "progress"},
    }.items()
}
"""Fields, with all that is in them, that a client can hold against nothing: a bent one may be shown as the answer."""


def is_believed(method: str, field: str) -> bool:
    """Whether a bend of a field may go unnoticed."""
    fields = BELIEVED.get(method, frozenset())
    return field in fields or any(known and field.startswith(f"{known}.") for known in fields)


_WHOLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "cut": lambda raw: raw[: len(raw) // 2],
    "longer": lambda raw: raw + b"\xff",
    "no UTF-8": lambda raw: raw + b"\x0a\x02\xff\xfe",
    "noise": lambda raw: random.Random(len(raw)).randbytes(len(raw)),
    "empty": lambda _: b"",
}

Case = tuple[Operation, str, int, str, str, Any]


async def cases(face: str, store: EmbeddedStore, liar: HostileServer) -> tuple[dict[str, Any], list[Case]]:
    """Each operation's right answer, and every bend of every reply that it gets."""
    rights: dict[str, Any] = {}
    found: list[Case] = []
    for operation in OPERATIONS:
        recorder = Recorder()
        liar.bend = recorder
        async with client(face, liar.address) as (vault, remote):
            rights[operation.name] = await operation.run(vault, remote)
        liar.bend = honest
        restore(store)
        for method, index, raw in recorder.replies:
            if index > 2:
                continue
            found += [
                (operation, method, index, change.field, change.what, changing(method, change))
                for change in changes(reply_of(method).FromString(raw))
            ]
            found += [(operation, method, index, "", what, bend) for what, bend in _WHOLE.items()]
    return rights, found


async def walk(face: str, store: EmbeddedStore, liar: HostileServer, report: Report, share: float, seed: int) -> None:
    """Tries a share of all cases.

    Args:
        share: 0 to 1, of them, chosen by the seed.
    """
    rights, found = await cases(face, store, liar)
    chosen = random.Random(seed).sample(found, round(share * len(found)))
    async with contextlib.AsyncExitStack() as stack:
        usable = False
        for operation, method, index, name, what, bend in chosen:
            if not usable or operation.writes:
                await stack.aclose()
                vault, remote = await stack.enter_async_context(client(face, liar.address))
            usable = False
            liar.bend = Bent(method, index, bend)
            case = f"{face} {operation.name}: reply {index} of {method}, {name or 'the whole'} {what}"
            begun = time.monotonic()
            try:
                async with asyncio.timeout(30):
                    got = await outcome(operation, vault, remote)
            except BaseException as error:  # noqa: BLE001  # this is what is looked for
                report.broken.append(f"{case}: {type(error).__name__}: {error}")
                continue
            finally:
                liar.bend = honest
                if operation.writes:
                    restore(store)
            took = time.monotonic() - begun
            report.slowest = max(report.slowest, took)
            if took > MOST:
                report.broken.append(f"{case}: took {took:.1f} s")
            if isinstance(got, VaultError):
                report.raised[type(got).__name__] += 1
            elif got == rights[operation.name]:
                report.right += 1
                usable = True
            elif is_believed(method, name):
                report.believed += 1
            else:
                report.broken.append(f"{case}: was believed: {got!r:.200}")
