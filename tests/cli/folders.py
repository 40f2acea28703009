"""Folders of files, as tests make and read them."""

from collections.abc import Mapping
from pathlib import Path


def make(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A folder with these files. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by their paths below it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
