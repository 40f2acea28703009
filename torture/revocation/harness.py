"""Takes tokens back, ends them and changes grants while calls run by them in several workers, until those end."""

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from vault.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc
from vault_server.access.tokens import id_of

from tests.access.identified import IdentityFile, Metadata, bearer
from tests.server.process import Served
from tests.server.raw_calls import block, start, stub_of, whole

HOW: Final = ("principal", "token", "expiry", "grants")
KINDS: Final = ("watch", "upload", "silent", "load")
HANGS: Final = 60.0
CONNECTIONS: Final = 4  # for each worker, or so: the kernel spreads them


@dataclass
class Figures:
    """What the rounds came to: calls that were ended, by what ended them, and the seconds until then."""

    ended: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    last_let_in: float = 0.0  # how long after the change a call was begun that was answered

    def __str__(self) -> str:
        found = sorted(self.seconds)
        middle, late = (1000 * found[int(len(found) * share)] for share in (0.5, 0.99))
        counts = ", ".join(f"{count} by {how}" for how, count in sorted(self.ended.items()))
        return (
            f"{len(found)} calls ended ({counts}), p50 {middle:.0f} ms, p99 {late:.0f} ms, last "
            f"{1000 * found[-1]:.0f} ms after the change; "
            f"the last call that was let in began {1000 * self.last_let_in:.0f} ms after it"
        )


async def revoking(folder: Path, seed: int, rounds: int, *, workers: int = 4, within: float = HANGS) -> Figures:
    """Raises AssertionError where a call runs on, or is let in, `within` seconds after a change, or where one of others
    is ended."""
    chance, figures = random.Random(seed), Figures()
    identities = IdentityFile(folder)
    keeper = identities.add("keeper", "u:*")
    served = Served(
        folder / "store", "--listen", "127.0.0.1:0", "--workers", str(workers), "--tokens", identities.path
    )  # fmt: skip
    try:
        async with AsyncExitStack() as stack:
            options = (("grpc.use_local_subchannel_pool", 1),)  # a connection each
            channels = [
                await stack.enter_async_context(grpc.aio.insecure_channel(served.address, options))
                for _ in range(CONNECTIONS * workers)
            ]
            upload: Any = stub_of(channels[0]).Upload(iter(whole(b"x" * (48 * BLOCK_SIZE))), metadata=bearer(keeper))
            assert [reply async for reply in upload][-1].info.data_id == 1
            lasting = [kind for kind in KINDS if kind != "silent"]  # a server waits 30 s for a first message
            others = [await _begun(channel, chance.choice(lasting), bearer(keeper), chance) for channel in channels]
            for number in range(rounds):
                await _round(identities, f"p{number}", channels, chance, figures, within)
                assert not any(call.done() for call in others), "a call of somebody else was ended"
            for call in others:
                call.cancel()
    finally:
        served.kill()
    return figures


async def _round(
    identities: IdentityFile,
    name: str,
    channels: list[grpc.aio.Channel],
    chance: random.Random,
    figures: Figures,
    within: float,
) -> None:
    how = chance.choice(HOW)
    lasts = 4.0 if how == "expiry" else None
    added = time.monotonic()
    token = identities.add(name, "u:*", expires_in=lasts)
    running = []
    for channel in channels:
        kind = chance.choice(KINDS)
        running.append((await _begun(channel, kind, bearer(token), chance), kind))
    let_in = [0.0] * len(channels)
    asking = [
        asyncio.create_task(_ask(channel, bearer(token), let_in, place)) for place, channel in enumerate(channels)
    ]
    if how == "principal":
        identities.revoke(name)
    elif how == "token":
        identities.revoke(name, id_of(token))
    elif how == "grants":
        identities.grant(name, "other:read")
    changed = added + lasts if lasts else time.monotonic()
    async with asyncio.timeout(HANGS):
        ended = await asyncio.gather(*(_end_of(call) for call, kind in running if kind != "load"))
        await asyncio.gather(*asking)
        # What is not read of a download waits in the server, which has ended it by now: it is heard of by reading.
        unread = [await _end_of(call) for call, kind in running if kind == "load"]
    kinds = [kind for _, kind in running if kind != "load"] + ["load"] * len(unread)
    for kind, (error, _) in zip(kinds, [*ended, *unread], strict=True):
        expected = UnavailableError if kind == "watch" else PermissionDeniedError
        assert isinstance(error, expected if how == "grants" else UnauthenticatedError), (how, kind, error)
    figures.ended[how] += len(running)
    figures.seconds += [at - changed for _, at in ended]
    figures.last_let_in = max(figures.last_let_in, *(each - changed for each in let_in))
    assert max(figures.seconds) <= within, f"{how}: a call ran on for {max(figures.seconds):.3f} s"
    assert figures.last_let_in <= within, f"{how}: a call was let in {figures.last_let_in:.3f} s after it"


async def _begun(channel: grpc.aio.Channel, kind: str, by: Metadata, chance: random.Random) -> Any:
    """A call that runs, and would for ever."""
    stub: Any = stub_of(channel)
    if kind == "watch":
        call = stub.Watch(pb.WatchRequest(units=["u"]), metadata=by)
        await call.read()
    elif kind == "load":
        call = stub.Load(pb.LoadRequest(unit="u", key=pb.Key(data_id=1)), metadata=by)
        await call.read()  # the head alone
    elif kind == "upload":
        call = stub.Upload(metadata=by)
        await call.write(start(chance.randrange(2, 1 << 60)))
        await call.write(block(0, b"x" * BLOCK_SIZE))
    else:
        call = stub.Put(metadata=by)
        await call.wait_for_connection()
    await stub.WhoAmI(pb.WhoAmIRequest(), metadata=by)  # behind it on the connection
    return call


async def _ask(channel: grpc.aio.Channel, by: Metadata, let_in: list[float], place: int) -> None:
    """Calls until it is refused, or shown nothing; notes when the last call began that was let in."""
    request = pb.ExistsRequest(unit="u", keys=[pb.Key(data_id=1)])
    while True:
        began = time.monotonic()
        try:
            reply = await stub_of(channel).Exists(request, metadata=by)
        except grpc.aio.AioRpcError as error:
            # PERMISSION_DENIED: it ran as the grants changed.
            assert error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), error  # noqa: PT017  # no test
            return
        if not reply.generations[0]:
            return
        let_in[place] = began
        await asyncio.sleep(0.005)


async def _end_of(call: Any) -> tuple[VaultError, float]:
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error_from_rpc(error), time.monotonic()
    raise AssertionError("a call ended well")
