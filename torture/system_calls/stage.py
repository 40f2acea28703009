"""Processes that play a scenario while strace injects faults into their system calls.

One process imports everything and forks for each play, so that a play costs a tenth of a second and its first
system call is the scenario's own. As a program it is that process.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from torture.powerloss.scenario import SCENARIOS, play, say

GAVE_UP: Final = 2
REPOSITORY: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Played:
    """What a play said, how it ended (as a `returncode`), and what became of the calls chosen.

    `injected` counts those that were tampered with, `calls` those of the thread that made most of them.
    """

    said: list[str]
    code: int
    injected: int
    calls: int

    @property
    def refused(self) -> list[str]:
        return [line for line in self.said if line.startswith("refused")]


class Stage:
    """Plays scenarios in forks of one process. Belongs to one thread."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torture.system_calls.stage"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    def play(self, scenario: str, directory: Path, inject: str) -> Played:
        """Plays a scenario under `strace -e inject=…`, for instance "fsync:error=EIO:when=3"."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        trace = directory.with_name("injected")
        stdin.write(f"{scenario} {directory}\n")
        stdin.flush()
        child = int(stdout.readline())
        calls = inject.partition(":")[0]
        command = ["strace", "-f", "-o", str(trace), "-e", f"trace={calls}", "-e", f"inject={inject}", "-p", str(child)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            attached = strace.stderr.readline()
            assert "attached" in attached, attached
            os.kill(child, signal.SIGCONT)
            said: list[str] = []
            while not (line := stdout.readline()).startswith("ended"):
                assert line, "the stage has ended"
                said.append(line.rstrip("\n"))
            strace.communicate(timeout=60)
        lines = trace.read_text().splitlines()
        trace.unlink()
        by_thread = Counter(line.split()[0] for line in lines if f" {calls}(" in line)
        injected = sum("(INJECTED)" in line or "+++ killed" in line for line in lines)
        return Played(said, int(line.split()[1]), injected, max(by_thread.values(), default=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate(timeout=60)


def _serve() -> None:
    for line in sys.stdin:
        scenario, directory = line.split()
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            code = 1
            try:
                code = 0 if play(directory, SCENARIOS[scenario]) else GAVE_UP
            except BaseException:  # noqa: BLE001  # the parent says that it ended badly, this says why
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.waitpid(child, os.WUNTRACED)
        say(str(child))
        _, status = os.waitpid(child, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    _serve()
