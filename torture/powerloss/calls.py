"""System calls of a real process, recorded with strace: every one that changes what is on the disk.

`-xx` gives every string in hexadecimal, so that bytes are exact and a line splits at its commas; `-y` gives the
path behind each descriptor. A call that another thread interrupts comes in two lines, which are joined: it takes
its place where it ended, and `begun` says where it began.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

CHANGING: Final = (
    "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,"
    "symlinkat,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,fsync,fdatasync,sync_file_range,"
    "msync,sync,syncfs,sendfile,splice,copy_file_range,lseek,dup,dup2,dup3"
)

_LARGEST: Final = 4 << 20
"""Bytes of one string that strace is to print; a block has 1 MiB."""

_WHOLE: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)")
_BEGUN: Final = re.compile(r"(\d+) +(\w+)\((.*?),? *<unfinished \.\.\.>$")
_ENDED: Final = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR: Final = re.compile(r"(AT_FDCWD|-?\d+)(?:<((?:\\x[0-9a-f]{2})*)>)?(?:\(deleted\))?")


@cache
def strace_missing() -> str:
    """Why strace cannot be used here; empty when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1000", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that succeeded. `begun` and `ended` are lines of the recording."""

    name: str
    arguments: tuple[str, ...]
    result: int
    process: int
    begun: int
    ended: int

    def text(self, number: int) -> bytes:
        """An argument that is a string or a buffer."""
        match = _STRING.fullmatch(self.arguments[number])
        assert match is not None, (self.name, self.arguments[number][:100])
        assert match[2] is None, f"{self.name}: strace left out a part of the bytes"
        return unhex(match[1])

    def number(self, number: int) -> int:
        return int(self.arguments[number], 0)

    def descriptor(self, number: int) -> tuple[int, str]:
        """A descriptor, -1 for AT_FDCWD, and the path behind it."""
        match = _DESCRIPTOR.fullmatch(self.arguments[number])
        assert match is not None, (self.name, self.arguments)
        return -1 if match[1] == "AT_FDCWD" else int(match[1]), unhex(match[2] or "").decode()


def unhex(text: str) -> bytes:
    """The bytes of `\\x61\\x62`."""
    return bytes.fromhex(text.replace("\\x", ""))


def record(command: Sequence[str], trace: Path, *, calls: str = CHANGING, timeout: float = 300) -> int:
    """Runs a command under strace and writes its calls to `trace`; the command's exit code."""
    tracing = ["strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", str(_LARGEST), "-o", str(trace), "-e"]
    done = subprocess.run(
        [*tracing, f"trace={calls}", "--", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode


def read_calls(trace: Path, first_line: int = 0) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended."""
    begun: dict[str, tuple[str, str, int]] = {}
    with trace.open() as lines:
        for number, line in enumerate(lines, first_line):
            if match := _WHOLE.match(line):
                process, name, arguments, result = match.groups()
                start = number
            elif match := _BEGUN.match(line.rstrip("\n")):
                begun[match[1]] = (match[2], match[3], number)
                continue
            elif match := _ENDED.match(line):
                process, name, rest, result = match.groups()
                begun_name, arguments, start = begun.pop(process)
                assert begun_name == name, line[:100]
                rest = rest.lstrip(", ")
                arguments = f"{arguments}, {rest}" if rest and arguments else arguments or rest
            else:
                continue  # signals, exits
            if result != "?" and int(result) >= 0:
                yield Call(name, tuple(arguments.split(", ")), int(result), int(process), start, number)
