"""The demo's processes: a real server, and clients whose time and memory are measured."""

import queue
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

import psutil
from vault.errors import UnavailableError

_COMMAND = (sys.executable, "-m", "vault.cli")
_ADDRESS = re.compile(r"(?:127\.0\.0\.1|localhost):\d+")
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_SAMPLE_SECONDS = 0.02


class DemoError(Exception):
    """A step of the demo did not do what it shows."""


@dataclass(frozen=True)
class Run:
    """A client that ended well.

    Attributes:
        output: What it wrote to standard output.
        seconds: From its start to its end, the start of Python included.
        client_peak: The most memory it was seen to hold (RSS), bytes, sampled every 20 ms.
        server_peak: The same of the server, meanwhile.
    """

    output: str
    seconds: float
    client_peak: int
    server_peak: int


class ServerProcess:
    """`vault-grpc serve` on a free port of the loopback interface; stopped when its block ends."""

    def __init__(self, directory: Path, log: Path) -> None:
        self._directory = directory
        self._log_path = log

    def __enter__(self) -> Self:
        self._log = self._log_path.open("w")
        self._process = subprocess.Popen(
            [*_COMMAND, "serve", str(self._directory), "--listen", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._monitor = psutil.Process(self._process.pid)
        try:
            self.address = self._await_address()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    def rss(self) -> int:
        """Its memory now, bytes."""
        return int(self._monitor.memory_info().rss)

    def stop(self) -> int:
        """Sends SIGTERM, waits, and kills what does not end. Returns the exit code. Harmless when repeated."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
        return self._process.returncode

    def _await_address(self) -> str:
        assert self._process.stdout is not None  # it is a pipe
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_forward, args=(self._process.stdout, lines), daemon=True).start()
        deadline = time.monotonic() + _START_SECONDS
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                line = lines.get(timeout=min(remaining, 0.2))
            except queue.Empty:
                if self._process.poll() is not None:
                    break
                continue
            if match := _ADDRESS.search(line):
                return match[0]
        said = self._log_path.read_text(errors="replace").strip().splitlines()
        raise UnavailableError(f"the demo's server did not start: {said[-1] if said else 'it said nothing'}")


def _forward(source: TextIO, lines: "queue.Queue[str]") -> None:
    for line in source:
        lines.put(line)


def run_command(server: ServerProcess, name: str, *arguments: str) -> Run:
    """Runs `vault-grpc NAME ARGUMENTS` in a process of its own, and watches its memory and the server's.

    Raises:
        DemoError: It ended with another code than 0; says its last line of standard error.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        [*_COMMAND, "--vault", f"grpc://{server.address}", name, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client_peak, server_peak = _watch_memory(process, server)
        output, errors = process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    seconds = time.monotonic() - began
    if process.returncode != 0:
        said = errors.strip().splitlines()
        raise DemoError(f"{name} ended with {process.returncode}: {said[-1] if said else 'it said nothing'}")
    return Run(output, seconds, client_peak, server_peak)


def _watch_memory(process: "subprocess.Popen[str]", server: ServerProcess) -> tuple[int, int]:
    monitor = psutil.Process(process.pid)
    client_peak = server_peak = 0
    while process.poll() is None:
        try:
            client_peak = max(client_peak, monitor.memory_info().rss)
            server_peak = max(server_peak, server.rss())
        except psutil.NoSuchProcess:
            break
        time.sleep(_SAMPLE_SECONDS)
    return client_peak, server_peak
