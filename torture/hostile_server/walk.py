"""The walk: every reply of every operation with every field bent, and what comes of it."""

import asyncio
import contextlib
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from vault import AsyncVault, ConnectionSettings, Vault
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import VaultError
from vault.store.contract import AsyncStore
from vault.testing.store.sync_and_async import AsyncFace
from vault.testing.vault.faces import as_async_vault
from vault_server import EmbeddedStore, Server

from torture.hostile_server.bends import Bent, Recorder, changes, changing, reply_of
from torture.hostile_server.endless import DETAILS, of, status
from torture.hostile_server.operations import OPERATIONS, STRUCTURE, Operation, fill, outcome, restore
from torture.hostile_server.server import HostileServer, honest

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

    def __str__(self) -> str:
        tried = self.raised.total() + self.right + self.believed + len(self.broken)
        raised = ", ".join(f"{count} {name}" for name, count in self.raised.most_common())
        return (
            f"{tried} tried: {raised}; {self.right} right all the same, {self.believed} believed, "
            f"{len(self.broken)} BROKEN; the slowest took {self.slowest:.1f} s"
        )


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
            AsyncRemoteStore(address, ConnectionSettings(timeout=TIMEOUT)) as store,
            AsyncVault(store, STRUCTURE, cache=False) as vault,
        ):
            yield vault, store
        return
    with (
        RemoteStore(address, ConnectionSettings(timeout=TIMEOUT)) as behind,
        Vault(behind, STRUCTURE, cache=False) as sync_vault,
    ):
        yield as_async_vault(sync_vault), AsyncFace(behind)


_TIMES: Final = {"created_at", "updated_at", "written_at", "expires_at"}


def _results(*fields: str) -> set[str]:
    return {f"results.info.{field}" for field in fields}


BELIEVED: Final[Mapping[str, frozenset[str]]] = {
    method: frozenset(fields)
    for method, fields in {
        # Whether there is an object, and what it is: nobody else knows.
        "Exists": {"generations"},
        "Stat": {"items.info"},
        "List": {"objects", "prefixes$", ""},
        "ListUnits": {"units", ""},
        "StatUnits": {"units", ""},
        "SetUnitLimits": {"info.objects", "info.bytes", "info.revision"},
        "StatPrincipals": {"principals", ""},
        "SetPrincipalLimits": {"info.objects", "info.bytes"},
        "LoadMany": {"items.object", "items.not_modified", "items.error"},
        # Not its bytes, their size or their checksum.
        "Load": {f"info.{field}" for field in {"generation", "revision", "datatype", "name", "tags"} | _TIMES},
        "Read": {f"info.{field}" for field in {"generation", "revision", "checksum", "datatype", "tags"} | _TIMES},
        # Not what was written.
        "UploadMany": {"results.error"},
        "UpdateMany": _results("data_id", "name", "tags", "created_at", "expires_at"),
        "Update": {f"info.{field}" for field in ("data_id", "name", "tags", "created_at", "expires_at")},
        "Put": {"info.data_id", *(f"info.{field}" for field in _TIMES)},
        "PutMany": {"results.error", *_results("data_id", "name", *_TIMES)},
        "Copy": {"results.error", *_results("size", "checksum", "datatype", "tags", "data_id", *_TIMES)},
        "SetMetadataMany": {"results.error", *_results("size", "checksum", "datatype", *_TIMES)},
        "AcquireLease": {"acquired"},
        "DeleteMany": {"results.revision", "results.error"},
        "SetMetadata": {f"info.{field}" for field in ("size", "checksum", "datatype", "expires_at")},
        "Delete": {"results.revision"},
        "GetCapabilities": {
            "store_id",
            "server_version",
            "max_message_size",
            "max_batch_items",
            "resume_window",
            "durability",
        },
        "GetWriteStatus": {"persisted_size"},
        "Upload": {"persisted_size"},  # of a write that was begun by somebody else
        "Watch": {"changes$", "changes.data_id", "changes.kind", "changes.name", "progress"},
    }.items()
}
"""Fields, with all that is in them (with $: without), that a client can hold against nothing: a bent one may be shown
as the answer."""


def is_believed(method: str, field: str) -> bool:
    """Whether a bend of a field may go unnoticed."""
    fields = BELIEVED.get(method, frozenset())
    return not fields.isdisjoint({field, f"{field}$"}) or any(
        known and field.startswith(f"{known}.") for known in fields
    )


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


async def walk(
    face: str,
    store: EmbeddedStore,
    liar: HostileServer,
    report: Report,
    share: float,
    seed: int,
    seconds: float = math.inf,
) -> None:
    """Tries a share of all bends.

    Args:
        share: 0 to 1, of them, chosen by the seed.
        seconds: For how long, at most.
    """
    rights, found = await cases(face, store, liar)
    ends = time.monotonic() + seconds
    for operation, method, index, name, what, bend in random.Random(seed).sample(found, round(share * len(found))):
        if time.monotonic() > ends:
            return
        liar.bend = Bent(method, index, bend)
        case = f"{face} {operation.name}: reply {index} of {method}, {name or 'the whole'} {what}"
        got = await _tried(face, store, liar, report, operation, case)
        if isinstance(got, VaultError):
            continue
        if got == rights[operation.name]:
            report.right += 1
        elif is_believed(method, name):
            report.believed += 1
        elif not isinstance(got, BaseException):
            report.broken.append(f"{case}: was believed: {got!r:.200}")


async def walk_statuses(
    face: str,
    store: EmbeddedStore,
    liar: HostileServer,
    report: Report,
    number: int,
    seed: int,
    seconds: float = math.inf,
) -> None:
    """Ends calls in statuses with details of all kinds.

    Args:
        number: Of them, chosen by the seed; all, when there are fewer.
        seconds: For how long, at most.
    """
    codes = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    found = [
        (method, code, what)
        for method, code, what in itertools.product(_ASKING, codes, DETAILS)
        if method not in _OF_NEWER or code is not grpc.StatusCode.UNIMPLEMENTED
    ]
    ends = time.monotonic() + seconds
    for method, code, what in random.Random(seed).sample(found, min(number, len(found))):
        if time.monotonic() > ends:
            return
        liar.bend = of(method, status(code, DETAILS[what]))
        case = f"{face} {_ASKING[method]}: {method} ends in {code.name} with {what}"
        got = await _tried(face, store, liar, report, _BY_NAME[_ASKING[method]], case)
        if not isinstance(got, BaseException):
            # That there is no object is what some of them say.
            report.believed += got is None
            if got is not None:
                report.broken.append(f"{case}: {got!r:.200}")


async def _tried(
    face: str, store: EmbeddedStore, liar: HostileServer, report: Report, operation: Operation, case: str
) -> Any:
    """What a call comes to; an exception that is none of the contract's, and one that came late, are noted."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(30), client(face, liar.address) as (vault, remote):
            got = await outcome(operation, vault, remote)
            took = time.monotonic() - begun
    except BaseException as error:  # noqa: BLE001  # this is what is looked for
        report.broken.append(f"{case}: {type(error).__name__}: {error}")
        return error
    finally:
        liar.bend = honest
        if operation.writes:
            restore(store)
    report.slowest = max(report.slowest, took)
    if took > MOST:
        report.broken.append(f"{case}: took {took:.1f} s")
    if isinstance(got, VaultError):
        report.raised[type(got).__name__] += 1
    return got


_BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
_ASKING: Final = {
    "Stat": "stat('notes', 1)",
    "Exists": "exists('notes', 1)",
    "Load": "download_file",
    "LoadMany": "load('notes', 1)",
    "LoadColumns": "load_many",
    "List": "list by id",
    "Watch": "watch",
    "Upload": "upload_file",
    "UploadMany": "upload",
    "WriteColumns": "upload_many",
    "UpdateMany": "update",
    "Delete": "delete",
    "SetMetadata": "set_metadata",
    "GetCapabilities": "capabilities()",
}
"""An operation that asks for it."""

_OF_NEWER: Final = ("LoadColumns", "WriteColumns")
"""Where UNIMPLEMENTED is what an older server says, which is asked by an older method then."""
