"""What only Vault does, or several programs of it together: operations of `client.py`, beside those of `work.py`.

python -m scripts.benchmarks.own DIRECTORY OBJECTS    fills a store
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vault
from vault import BytesWrapper, TextWrapper
from vault_server import EmbeddedStore, StoreOptions

from scripts.benchmarks.data import Source, same, small
from scripts.benchmarks.peers.vault import UNIT, Vault
from scripts.benchmarks.servers import Start, vault_server
from scripts.benchmarks.work import Work, one_after_another


def load_cached(peer: Vault, *, count: int) -> Work:
    """One object that the cache holds, and that every load looks up anew: it is known current by the watch."""
    (key,) = peer.keys(1)
    held = peer.vault

    def run() -> bytes:
        data = b""
        for _ in range(count):
            with held.load(UNIT, key) as ticket:  # type: ignore[union-attr]
                data = ticket.get_data().data
        return data

    return Work(run=run, count=count, before=partial(peer.get, key), after=lambda data: same(data, small(0)))


def read(peer: Vault, *, source: Source, length: int, count: int) -> Work:
    """So many bytes from anywhere in a large object."""
    name, data = peer.hold(source), Path(source.path).read_bytes()
    places = [random.Random(number).randrange(source.size - length) for number in range(count)]
    return one_after_another(
        lambda number: peer.vault.read(UNIT, name, offset=places[number], length=length),
        count,
        after=lambda found: same(found, data[places[-1] : places[-1] + length]),
    )


def update(peer: Vault, *, count: int) -> Work:
    keys = peer.keys(1000)
    return one_after_another(
        lambda number: peer.vault.update(UNIT, keys[number % 1000], BytesWrapper(small(number))), count
    )


def stream(peer: Vault, *, count: int) -> Work:
    """Each object through a writer that takes its bytes one after another."""

    def operation(number: int) -> None:
        with peer.vault.open_writer(UNIT) as writer:
            writer.write(small(number))
        peer.written.append(writer.info.data_id)

    return one_after_another(operation, count, after=lambda _: peer.clear())


def level(peer: Vault, *, count: int) -> Work:
    """One level of 50 prefixes, over 50,000 names."""
    if not peer.vault.exists(UNIT, "at-00/0"):
        names = [f"at-{number % 50:02}/{number}" for number in range(50_000)]
        for some in range(0, len(names), 5000):
            part = names[some : some + 5000]
            peer.vault.upload_many(UNIT, [BytesWrapper(b"x")] * len(part), names=part)
    return one_after_another(
        lambda _: peer.vault.list_level(UNIT), count, after=lambda found: same(len(found.prefixes), 50)
    )


def put_folder(peer: Vault, *, files: int, command: bool) -> Work:
    """Files of 4 KiB: by `vault-grpc put --recursive`, without the start of its process, or read, and in one call."""
    from vault.cli.program import program as vault_grpc

    temporary = TemporaryDirectory()
    paths = [Path(temporary.name) / f"file-{index:06}" for index in range(files)]
    for path in paths:
        path.write_bytes(os.urandom(4096))
    names = [path.name for path in paths]
    arguments = ["put", "--recursive", "--unit", UNIT, "--vault", peer.place, temporary.name]

    def run() -> None:
        if command:
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                same(vault_grpc.main(arguments, standalone_mode=False), 0)
        else:
            peer.vault.upload_many(UNIT, [BytesWrapper(path.read_bytes()) for path in paths], names=names)

    return Work(run=run, count=files, after=lambda _: peer.vault.delete_many(UNIT, names), end=temporary.cleanup)


FILLING = b"an object of a few bytes, as there are a million of"


def fill(directory: Path, objects: int) -> None:
    """Objects with a name each, and a tag that ten of them share."""
    with (
        EmbeddedStore(directory, StoreOptions(durability="relaxed")) as store,
        vault.Vault(store, {UNIT: (BytesWrapper, 0)}, cache=False) as held,
    ):
        for first in range(0, objects, 1000):
            some = range(first, min(first + 1000, objects))
            names, tags = [f"object-{number}" for number in some], [{"ten": str(number // 10)} for number in some]
            held.upload_many(UNIT, [BytesWrapper(FILLING)] * len(some), names=names, tags=tags)


def among(peer: Vault, *, what: str, count: int) -> Work:
    """A call on a store that `fill` made."""
    held = peer.vault
    objects = held.unit_info(UNIT).objects
    step = max(1, objects // count)
    ids = [held.find(UNIT, f"object-{number * step % objects}") for number in range(count if what == "load" else 0)]
    calls: dict[str, Callable[[int], Any]] = {
        "load": lambda place: peer.get(ids[place // step]),
        "upload": lambda place: peer.set(place, FILLING),
        "page": lambda _: list(islice(held.list(UNIT), 100)),
        "name": lambda place: held.find(UNIT, f"object-{place}"),
        "tag": lambda place: list(held.list(UNIT, tags={"ten": str(place // 10)})),
    }
    call = calls[what]
    return one_after_another(lambda number: call(number * step % objects), count, after=lambda _: peer.clear())


def serve(*, store: str) -> Work:
    """From the command to the line that says where it listens, of a server on a directory that is filled already."""
    directory = Path(store).parent
    started: list[Any] = []

    def run() -> None:
        started.append(vault_server()(Start(directory, quick=False)))
        started[-1].__enter__()

    return Work(run=run, after=lambda _: started.pop().__exit__(None, None, None))


FIRST_LOAD = """
from vault import BytesWrapper, Vault
with Vault({place!r}, {{"bench": (BytesWrapper, 0)}}) as vault:
    vault.load("bench", 1).close()
"""


def python(*, program: str, peer: Vault | None = None) -> Work:
    """A process of Python, from start to end; with a peer one that loads what that put in."""
    if peer is not None:
        if not peer.vault.exists(UNIT, 1):
            peer.vault.upload(UNIT, BytesWrapper(small(0)), data_id=1)
        program = FIRST_LOAD.format(place=peer.place)
    # Bytecode of its own, which the run that is not measured compiles: whatever is set, and whoever owns the modules.
    compiled = tempfile.TemporaryDirectory()
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled.name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return Work(
        run=lambda: subprocess.run([sys.executable, "-c", program], check=True, env=environment), end=compiled.cleanup
    )


def memoized(peer: Any, *, size: int, count: int) -> Work:
    """Hits of a function whose result, so many characters, is stored."""

    def text(number: int) -> str:
        return "x" * size + str(number)

    hit = peer.memoize(text)
    return one_after_another(lambda _: hit(5), count, after=lambda found: same(found, text(5)))


WRITING = """
import sys, time
from vault import BytesWrapper, Vault
with Vault(sys.argv[1], {"notes": (BytesWrapper, 0)}, cache=False) as vault:
    began = time.monotonic()
    for number in range(0, int(sys.argv[2]), 5):
        vault.upload_many("notes", [BytesWrapper(b"x")] * 5)
        time.sleep(max(0, began + (number + 5) / 1000 - time.monotonic()))
    print(vault.revision)
"""


def watchers(peer: Vault, *, store: str, watchers: int, changes: int) -> Work:
    """So many watchers, 50 on a connection, of what a process beside the server commits at 1,000 changes a second. They
    do not decode what they get, except its end. An operation is a change delivered to one of them."""
    import grpc.aio
    from vault.v1 import vault_pb2 as pb

    newest = [b""] * watchers
    runner = asyncio.Runner()

    async def follow(index: int, channel: Any) -> None:
        call = channel.unary_stream("/vault.v1.VaultService/Watch")(pb.WatchRequest(groups=True).SerializeToString())
        while (message := await call.read()) is not grpc.aio.EOF:
            newest[index] = message

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110  # an event would cost something at each message
            await asyncio.sleep(0.05)

    async def begin() -> list[asyncio.Task[None]]:
        own = [("grpc.use_local_subchannel_pool", 1)]
        address = peer.place.removeprefix("grpc://")
        channels = [grpc.aio.insecure_channel(address, own) for _ in range(0, watchers, 50)]
        tasks = [asyncio.create_task(follow(index, channels[index // 50])) for index in range(watchers)]
        await until(lambda: all(newest))
        return tasks

    async def deliver() -> None:
        command = [sys.executable, "-c", WRITING, store, str(changes)]
        writer = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        last = int((await writer.communicate())[0])
        await until(lambda: all(pb.WatchResponse.FromString(raw).progress.revision >= last for raw in newest))

    async def end(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    tasks = runner.run(begin())

    def close() -> None:
        runner.run(end(tasks))
        runner.close()

    return Work(run=lambda: runner.run(deliver()), count=watchers * changes, end=close)


SAYING = """
import random, sys, time
from vault import TextWrapper, Vault
with Vault(sys.argv[1], {"notes": (TextWrapper, 0)}) as vault:
    for step in range(int(sys.argv[2])):
        time.sleep(random.uniform(0.005, 0.025))
        vault.put("notes", "it", TextWrapper(f"{sys.argv[3]} {step}"))
        print(time.monotonic(), flush=True)
"""


def propagation(peer: Vault, *, writes: int, writer: str, watch: bool = False) -> Work:
    """From the moment at which a small write returned in another process until the loads of this one, which its cache
    answers, show it; or until `vault.watch` told of it. 0 where this one was first. `writer`: a directory, or ""
    for the peer's own place."""
    place = peer.place
    rounds = iter(range(1_000_000))
    with vault.Vault(place, {"notes": (TextWrapper, 0)}) as first:
        first.put("notes", "it", TextWrapper(""))
    held = vault.Vault(place, {"notes": (TextWrapper, 0)})

    def seen(number: int, changes: Any) -> list[float]:
        arrived: list[float] = []
        while len(arrived) < writes:
            if watch:
                next(changes)
                arrived.append(time.monotonic())
                continue
            with held.load("notes", "it") as ticket:  # type: ignore[union-attr]
                told = ticket.get_data().data.split()
            if told and int(told[0]) == number:
                arrived += [time.monotonic()] * (int(told[1]) + 1 - len(arrived))
            time.sleep(0.0002)
        return arrived

    def run() -> list[float]:
        number = next(rounds)
        changes = held.watch() if watch else None
        command = [sys.executable, "-c", SAYING, writer or place, str(writes), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saying:
            arrived = seen(number, changes)
            assert saying.stdout is not None
            acknowledged = [float(row) for row in saying.stdout]
        if changes is not None:
            changes.close()
        return [max(0.0, there - here) for there, here in zip(arrived, acknowledged, strict=True)]

    return Work(run=run, count=writes, timed=True, alone=True, end=held.close)


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]))
