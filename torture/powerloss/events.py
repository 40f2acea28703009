"""What happened to the disk: calls, read as changes to inodes and to the names in folders.

Nothing is passed over: a call of a kind that the model does not know, on a file of the store, ends the reading.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from torture.powerloss.calls import Call

BASE: Final = 0
"""The inode of the folder that everything recorded is under."""

_NOT_DURABLE: Final = "-shm"
"""Memory that SQLite shares between processes, by way of a file; it is made anew after a crash."""


@dataclass(frozen=True, slots=True)
class Event:
    """`call` numbers the call it belongs to; `begun` and `ended` are lines of the recording."""

    call: int
    begun: int
    ended: int


@dataclass(frozen=True, slots=True)
class Write(Event):
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate(Event):
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Link(Event):
    """A name in a folder leads to an inode from now on."""

    folder: int
    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Unlink(Event):
    folder: int
    name: str


@dataclass(frozen=True, slots=True)
class Sync(Event):
    inode: int


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A line that the process printed."""

    line: str


@dataclass(slots=True)
class History:
    """Events in the order in which they ended. `folders` are the inodes that are folders."""

    events: list[Event] = field(default_factory=list)
    folders: set[int] = field(default_factory=lambda: {BASE})
    before: int = 0
    """Events at the beginning that were there, durable, before the recording."""


@dataclass(slots=True)
class _Open:
    inode: int
    position: int
    append: bool


class Reading:
    """Calls in, events out; follows names and positions as the kernel does."""

    def __init__(self, base: Path) -> None:
        self.history = History()
        self._base = str(base)
        self._names: dict[int, dict[str, int]] = {BASE: {}}
        self._sizes: dict[int, int] = {}
        self._open: dict[int, _Open] = {}
        self._inodes = BASE
        self._calls = 0
        for folder, folders, files in os.walk(base):
            at = self._find(folder)
            assert at is not None
            for name in sorted(folders):
                self._add(Link(-1, -1, -1, at, name, self._new(folder=True)))
            for name in sorted(files):
                inode = self._new()
                self._add(Link(-1, -1, -1, at, name, inode))
                self._add(Write(-1, -1, -1, inode, 0, (Path(folder) / name).read_bytes()))
        self.history.before = len(self.history.events)

    def take(self, calls: Iterable[Call]) -> None:
        """Reads the calls of one process, from its start to its end."""
        self._open = {}
        for call in calls:
            self._calls += 1
            self._take(call)

    def _take(self, call: Call) -> None:
        match call.name:
            case "open" | "creat":
                self._opened(call, self._path(call, 0), call.arguments[1] if call.name == "open" else "O_CREAT|O_TRUNC")
            case "openat":
                self._opened(call, self._path_at(call, 0), call.arguments[2])
            case "mkdir":
                self._made(call, self._path(call, 0))
            case "mkdirat":
                self._made(call, self._path_at(call, 0))
            case "rename":
                self._renamed(call, self._path(call, 0), self._path(call, 1))
            case "renameat" | "renameat2":
                assert call.name == "renameat" or call.arguments[4] in ("0", "RENAME_NOREPLACE"), call.arguments
                self._renamed(call, self._path_at(call, 0), self._path_at(call, 2))
            case "link":
                self._linked(call, self._path(call, 0), self._path(call, 1))
            case "linkat":
                self._linked(call, self._path_at(call, 0), self._path_at(call, 2))
            case "unlink" | "rmdir":
                self._removed(call, self._path(call, 0))
            case "unlinkat":
                self._removed(call, self._path_at(call, 0))
            case _:
                self._on_descriptor(call)

    def _on_descriptor(self, call: Call) -> None:
        descriptor, path = call.descriptor(0)
        if call.name == "write" and descriptor == 1:
            for line in call.text(1).decode().splitlines():
                self._add(Said(*self._when(call), line))
            return
        inode = self._find(path)
        if inode is None:  # outside, or a file that has lost its name: nobody will find it
            return
        match call.name:
            case "write":
                data = call.text(1)[: call.result]
                opened = self._open[descriptor]
                assert opened.inode == inode, call.arguments[0]
                position = self._sizes[inode] if opened.append else opened.position
                opened.position = position + len(data)
                self._write(call, inode, position, data)
            case "pwrite64":
                self._write(call, inode, call.number(3), call.text(1)[: call.result])
            case "ftruncate":
                self._sizes[inode] = call.number(1)
                self._add(Truncate(*self._when(call), inode, call.number(1)))
            case "fallocate":
                assert call.arguments[1] == "0", call.arguments
                size = max(self._sizes[inode], call.number(2) + call.number(3))
                self._sizes[inode] = size
                self._add(Truncate(*self._when(call), inode, size))
            case "fsync" | "fdatasync":
                self._add(Sync(*self._when(call), inode))
            case "sync_file_range":
                pass  # begins to write, and promises nothing
            case "lseek":
                if descriptor in self._open:
                    self._open[descriptor].position = call.result
            case _:
                raise NotImplementedError(f"the model of the disk does not know {call.name}{call.arguments}")

    def _opened(self, call: Call, path: str, flags: str) -> None:
        if "O_TMPFILE" in flags or not self._inside(path):
            return
        inode = self._find(path)
        if inode is None:
            inode = self._new()
            self._add(Link(*self._when(call), *self._parent(path), inode))
        elif "O_TRUNC" in flags and self._sizes[inode]:
            self._sizes[inode] = 0
            self._add(Truncate(*self._when(call), inode, 0))
        self._open[call.result] = _Open(inode, 0, "O_APPEND" in flags)

    def _made(self, call: Call, path: str) -> None:
        if self._inside(path):
            self._add(Link(*self._when(call), *self._parent(path), self._new(folder=True)))

    def _renamed(self, call: Call, source: str, target: str) -> None:
        if self._inside(source):
            self._linked(call, source, target)
            self._removed(call, source)

    def _linked(self, call: Call, source: str, target: str) -> None:
        if self._inside(source):
            inode = self._find(source)
            assert inode is not None, source
            self._add(Link(*self._when(call), *self._parent(target), inode))

    def _removed(self, call: Call, path: str) -> None:
        if self._inside(path):
            self._add(Unlink(*self._when(call), *self._parent(path)))

    def _write(self, call: Call, inode: int, offset: int, data: bytes) -> None:
        self._sizes[inode] = max(self._sizes[inode], offset + len(data))
        self._add(Write(*self._when(call), inode, offset, data))

    def _add(self, event: Event) -> None:
        self.history.events.append(event)
        if isinstance(event, Link):
            self._names[event.folder][event.name] = event.inode
        elif isinstance(event, Unlink):
            del self._names[event.folder][event.name]

    def _new(self, *, folder: bool = False) -> int:
        self._inodes += 1
        self._sizes[self._inodes] = 0
        if folder:
            self._names[self._inodes] = {}
            self.history.folders.add(self._inodes)
        return self._inodes

    def _when(self, call: Call) -> tuple[int, int, int]:
        return self._calls, call.begun, call.ended

    @staticmethod
    def _path(call: Call, number: int) -> str:
        return call.text(number).decode()

    @staticmethod
    def _path_at(call: Call, number: int) -> str:
        return str(PurePosixPath(call.descriptor(number)[1]) / call.text(number + 1).decode())

    def _inside(self, path: str) -> bool:
        return path.startswith(f"{self._base}/") and not path.endswith(_NOT_DURABLE)

    def _find(self, path: str) -> int | None:
        if path == self._base:
            return BASE
        if not self._inside(path):
            return None
        inode: int | None = BASE
        for name in PurePosixPath(path).relative_to(self._base).parts:
            inode = self._names.get(inode, {}).get(name) if inode is not None else None
        return inode

    def _parent(self, path: str) -> tuple[int, str]:
        pure = PurePosixPath(path)
        folder = self._find(str(pure.parent))
        assert folder is not None, path
        return folder, pure.name
