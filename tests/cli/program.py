"""`vault-grpc` as a process, run as a shell would run it."""

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from vault import ConnectionSettings
from vault._sync.files.transfer import upload_file
from vault.cli.program import _ended
from vault.store.registry import open_store
from vault.store.specs import UploadSpec, new_data_id

COMMAND = Path(sys.executable).with_name("vault-grpc")
UNIT = "files"

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Program:
    """Runs `vault-grpc` against one location; `location` None: none is given."""

    def __init__(self, location: str | None, *, directory: Path | None = None) -> None:
        self.location = location
        self.directory = directory

    @property
    def environment(self) -> dict[str, str]:
        """The test's own environment without any VAULT_GRPC_ variable but the location's."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("VAULT_GRPC_")}
        return clean if self.location is None else {**clean, "VAULT_GRPC_URL": self.location}

    def run(
        self, *arguments: str | Path, data: bytes = b"", env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Runs to its end, whatever that is. No run may print a traceback."""
        done = subprocess.run(
            [COMMAND, *map(str, arguments)],
            input=data,
            capture_output=True,
            env={**self.environment, **(env or {})},
            timeout=100,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    def out(self, *arguments: str | Path, data: bytes = b"") -> bytes:
        """Standard output of a run that must succeed, silently."""
        done = self.run(*arguments, data=data)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        return done.stdout

    def text(self, *arguments: str | Path, data: bytes = b"") -> str:
        return self.out(*arguments, data=data).decode()

    def documents(self, *arguments: str | Path) -> list[Any]:
        """The JSON documents, one on a line."""
        return [json.loads(line) for line in self.text(*arguments, "--json").splitlines()]

    def assert_fails(self, code: int, *arguments: str | Path, data: bytes = b"") -> str:
        """The one line of standard error of a run that must end with `code`, without the program's name."""
        done = self.run(*arguments, data=data)
        lines = done.stderr.decode().splitlines()
        assert done.returncode == code, (done.returncode, lines)
        assert len(lines) == 1, lines
        assert lines[0].startswith("vault-grpc: "), lines
        return lines[0].removeprefix("vault-grpc: ")

    def put(self, name: str | None, data: bytes, *, unit: str = UNIT, **tags: str) -> int:
        """Stores bytes, in this process, which is quicker than the command. Returns the id."""
        assert self.location is not None
        spec = UploadSpec(new_data_id(), name, tags)
        with open_store(self.location, ConnectionSettings(timeout=30)) as store:
            return upload_file(lambda: store.upload(unit, spec), io.BytesIO(data), None).data_id


class Inside(Program):
    """The same in this process, which is thirty times quicker: for tests of what a command does, not of its process."""

    def run(
        self, *arguments: str | Path, data: bytes = b"", env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        words = list(map(str, arguments))
        streams = [
            io.TextIOWrapper(io.BytesIO(given), errors="backslashreplace", write_through=True)
            for given in (data, b"", b"")
        ]
        kept = sys.stdin, sys.stdout, sys.stderr
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("VAULT_GRPC_")]:
                patch.delenv(name)
            for name, value in {"VAULT_GRPC_URL": self.location or "", **(env or {})}.items():
                patch.setenv(name, value)
            sys.stdin, sys.stdout, sys.stderr = streams
            try:
                code = _ended(words)
            finally:
                sys.stdin, sys.stdout, sys.stderr = kept
        _, out, errors = (stream.buffer.getvalue() for stream in streams)
        assert b"(a bug;" not in errors, errors.decode()
        return subprocess.CompletedProcess(words, code, out, errors)


def on_terminal(program: Program, *arguments: str | Path, columns: int = 100) -> tuple[int, str]:
    """Runs the command with all its streams on a terminal. Returns the exit code and what was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**program.environment, "COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not piece:
                break
            shown += piece
        code = process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    text = shown.decode()
    assert "Traceback" not in text, text
    return code, text


def plain(shown: str) -> str:
    return _CONTROL.sub("", shown).replace("\r", "")
