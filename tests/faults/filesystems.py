"""Small file systems of a test's own: mounted where that is allowed, and gone when the test is over."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

KINDS = ("tmpfs", "ext4")


class Mounted:
    """A file system at `path`."""

    def __init__(self, path: Path, kind: str, mebibytes: int) -> None:
        self.path = path
        self._kind = kind
        self._image = path.with_name(f"{path.name}.image")
        if kind == "ext4":
            with self._image.open("wb") as file:
                file.truncate(mebibytes << 20)
            _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        path.mkdir()
        self._size = f"size={mebibytes}m"
        self.mount()

    def mount(self, *options: str) -> None:
        if self._kind == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", ",".join([self._size, *options]), "tmpfs", str(self.path))
        else:
            _run("mount", "-o", ",".join(["loop", *options]), str(self._image), str(self.path))

    def remount(self, *options: str) -> None:
        _run("mount", "-o", ",".join(["remount", *options]), str(self.path))

    def abort(self) -> None:
        """What ext4 does when its journal cannot be written: from now on it is read-only, open files too."""
        self.remount("abort")

    def unmount(self) -> None:
        _run("umount", str(self.path))


@contextmanager
def mounted(path: Path, kind: str, mebibytes: int) -> Iterator[Mounted]:
    """A new file system, unmounted after the block."""
    file_system = Mounted(path, kind, mebibytes)
    try:
        yield file_system
    finally:
        file_system.unmount()


@cache
def why_not(kind: str) -> str:
    """Why such a file system cannot be mounted here; empty when it can."""
    with TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder) / "try", kind, 8):
                return ""
        except (OSError, subprocess.CalledProcessError) as error:
            told = getattr(error, "stderr", None) or str(error)
            return f"cannot mount {kind} here: {told.strip()}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
