"""A file that is replaced whole, so that who reads it sees the old one or the new one, also after a crash."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from vault._runtime.fsync import sync


def replace_file(path: str | os.PathLike[str], text: str) -> None:
    """Replaces a file's content; of a link that of its target. It keeps the permissions that it has, a new one has
    0600. Blocks.

    Raises:
        OSError: It cannot be written. Nothing is changed.
    """
    target = Path(path).resolve()
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
            hand_over(descriptor, target)
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            file.write(text)
            file.flush()
            sync(descriptor)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(folder)
    finally:
        os.close(folder)


def hand_over(descriptor: int, target: Path) -> None:
    """Gives what root makes beside somebody's file to him."""
    if os.geteuid() == 0:
        with contextlib.suppress(FileNotFoundError):
            owner = target.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
