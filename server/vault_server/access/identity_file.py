"""The file that identities lie in: its permissions, and how it is changed by several at once."""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import tomli_w
from vault.errors import InvalidArgumentError, NotFoundError, UnavailableError

from vault_server.access.identities import Identities
from vault_server.access.replaced_file import hand_over, replace_file

T = TypeVar("T")

_PATIENCE: Final = 10.0
"""Seconds to wait for another one who changes the file, which takes milliseconds."""

_PAUSE: Final = 0.01

_HEAD: Final = (
    "# Who may call the server. `vault-grpc token` writes it, and keeps no comments. Of tokens it has hashes.\n"
)


def parse_identities(content: bytes) -> Identities:
    """What the file says: all of it or nothing.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES, with the line or key.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"not UTF-8 at byte {error.start}", reason="BAD_IDENTITIES") from error
    return Identities.parse(text)


def check_private(status: os.stat_result, *, any_owner: bool = False) -> None:
    """A file of secrets is its owner's alone: this user's, or root's.

    Args:
        any_owner: Take somebody else's, too.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES, others may read or write it, or it is somebody else's.
    """
    mode, owner = stat.S_IMODE(status.st_mode), status.st_uid
    if not stat.S_ISREG(status.st_mode):
        raise InvalidArgumentError("it is no regular file", reason="BAD_IDENTITIES")
    if not any_owner and owner not in (0, os.geteuid()):
        raise InvalidArgumentError(
            f"it belongs to user {owner}: only files of this user ({os.geteuid()}) or of root are taken",
            reason="BAD_IDENTITIES",
        )
    if mode & 0o077:
        raise InvalidArgumentError(f"others may read or write it (mode {mode:04o}): chmod 600", reason="BAD_IDENTITIES")


def read_identities(path: str | os.PathLike[str]) -> Identities:
    """What the file holds now. Blocks.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES.
        NotFoundError: FILE_NOT_FOUND.
        OSError: It cannot be read.
    """
    found = _read(Path(path))
    if found is None:
        raise NotFoundError(f"{path}: there is no such file; `vault-grpc token add` makes it", reason="FILE_NOT_FOUND")
    return found


def change_identities(path: str | os.PathLike[str], change: Callable[[Identities], tuple[Identities, T]]) -> T:
    """Replaces the file's content with what `change` makes of it, and returns what that returns besides. Blocks.

    Of several at once each sees what those before it wrote. A reader sees the old file or the new one, also after a
    crash. One that is not there counts as empty. A link's target is replaced. Comments in it are lost. Changed by
    root, it stays its owner's.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES, of what is there.
        UnavailableError: Another one has changed it for seconds.
        OSError: It cannot be read or written. Nothing is changed.
    """
    target = Path(path).resolve()
    with _locked(target):
        before = _read(target)
        after, result = change(Identities() if before is None else before)
        replace_file(target, f"{_HEAD}\n{tomli_w.dumps(after.document())}")
    return result


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = target.with_name(f"{target.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        hand_over(descriptor, target)
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise UnavailableError(f"another process has held {lock} for {_PATIENCE:g} s") from error
                time.sleep(_PAUSE)
        yield  # the lock's file stays: whoever waits for it has it open
    finally:
        os.close(descriptor)


def _read(path: Path) -> Identities | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
        try:
            # Root looks after the files of other users' servers.
            check_private(os.fstat(descriptor), any_owner=os.geteuid() == 0)
            return parse_identities(file.read())
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{path}: {error.message}", reason=error.reason) from error
