"""`vault-grpc serve` as a process of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

COMMAND = Path(sys.executable).with_name("vault-grpc")


class Served:
    """`vault-grpc serve` as a process, from its first line of output on."""

    def __init__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        streams: str | None = None,
        before: str | None = None,
    ) -> None:
        """`streams`: redirections, as a shell takes them; `before`: what the shell does first."""
        shell = [] if streams is before is None else ["sh", "-c", f'{before or ":"}; exec "$@" {streams or ""}', "sh"]
        self.process = subprocess.Popen(
            [*shell, COMMAND, "serve", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.address = self.line.rpartition(" ")[2].strip()

    def end(self, timeout: float = 30) -> tuple[int, str, str]:
        """Exit code, the rest of standard output, and standard error, when it has ended."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """SIGKILL, for its workers too; returns when all are gone."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.end()
        psutil.wait_procs(processes)

    def terminate(self) -> tuple[int, str, str]:
        self.process.terminate()
        return self.end()


Serve = Callable[..., Served]
