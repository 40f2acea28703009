"""`scripts/demo`: a real server and real clients, each in a process of its own, on this machine."""

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from vault._display import size_text
from vault.cli.arguments import SIZE
from vault.store.limits import BLOCK_SIZE

from .coherence import show_coherence
from .narration import memory_text, rate_text, remark, step
from .processes import DemoError, ServerProcess, run_command

UNIT = "files"


@click.command()
@click.option("--size", type=SIZE, default="256MiB", show_default=True, help="Of the file that is streamed.")
def demo(size: int) -> None:
    """Show a server and its clients at work, on this machine, and check what they did.

    Starts a server on a free loopback port over a new directory, streams a file of random bytes in
    from one client process and out to another, compares them, edits an object through a ticket in one
    process while another reads it from its cache, and takes everything away again. Needs three times
    the file's size in the directory for temporary files (TMPDIR).
    """
    signal.signal(signal.SIGTERM, _end)  # so that `finally` and `with` clean up
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="vault-demo-") as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < 3 * size + (64 << 20):
            raise click.ClickException(
                f"{folder.parent} has {size_text(free)} free, and {size_text(3 * size)} are needed; "
                "a smaller --size, or another TMPDIR, will do"
            )
        try:
            _show(console, folder, size)
        except DemoError as error:
            raise click.ClickException(f"the demo failed: {error}") from error
    remark(console, f"{folder} and everything in it is gone again.")


def _show(console: Console, folder: Path, size: int) -> None:
    remark(console, f"Writing a file of {size_text(size)} in {folder}, then starting a server and clients of it.")
    source, copy = folder / "source.bin", folder / "copy.bin"
    digest = _write_random(source, size)
    with ServerProcess(folder / "storage", folder / "server.log") as server:
        idle = server.rss()
        step(
            console,
            "serve",
            f"process {server.pid} serves {folder / 'storage'} at {server.address}",
            f"a storage host of its own, {size_text(idle)} of memory; everything below goes through its port",
        )
        stored = run_command(server, "put", "--unit", UNIT, "--name", "large", "--json", str(source))
        info = json.loads(stored.output)
        step(
            console,
            "put",
            f"{size_text(size)} in from another process: {rate_text(size, stored)}",
            memory_text(stored, idle),
        )
        loaded = run_command(server, "get", "--unit", UNIT, "large", str(copy))
        step(
            console,
            "get",
            f"{size_text(size)} out to a third process: {rate_text(size, loaded)}",
            memory_text(loaded, idle),
        )
        if _digest(copy) != digest:
            raise DemoError("the file that came out is not the file that went in")
        step(
            console,
            "compare",
            f"SHA-256 of both files is {digest[:16]}…; XXH3 in the store is {info['checksum']}",
            f"every byte is the same, by a checksum that Vault knows nothing of; each of the "
            f"{-(-size // BLOCK_SIZE)} blocks was verified by the reader, too",
        )
        show_coherence(console, server)
        code = server.stop()
        if code != 0:
            raise DemoError(f"the server ended with {code}, not 0")
        step(
            console,
            "stop",
            "SIGTERM; the server finished what it was doing and ended with 0",
            "it drains, it does not drop",
        )


def _write_random(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, BLOCK_SIZE):
            piece = os.urandom(min(BLOCK_SIZE, size - start))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    demo()
