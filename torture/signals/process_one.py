"""Commands as process 1 of a process namespace, as a container without an init runs them."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def status(pid: int, field: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))


def handles(pid: int, number: int) -> bool:
    """Whether a process handles a signal."""
    return bool(int(status(pid, "SigCgt"), 16) >> (number - 1) & 1)


@contextlib.contextmanager
def process_one(*command: str | Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Runs a command as process 1 of a process namespace, as a container without an init does.

    Yields what started it, which ends as it ends, and its id out here, once it handles SIGTERM: what comes earlier,
    before the interpreter runs, the kernel drops.
    """
    with subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as starter:
        try:
            children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
            deadline = time.monotonic() + 60
            while not (found := children.read_text().split()) or not handles(int(found[0]), signal.SIGTERM):
                if starter.poll() is not None:
                    raise AssertionError(f"it ended before it handled a signal: {starter.communicate()[1]}")
                assert time.monotonic() < deadline
                time.sleep(0.001)
            yield starter, int(found[0])
        finally:
            starter.kill()
