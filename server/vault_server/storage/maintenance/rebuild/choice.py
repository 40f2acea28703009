"""What is believed where rows, the feed and files tell different things of an object. Without I/O."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from vault.store.values import ChangeKind

from vault_server.storage.decision.rows import Row
from vault_server.storage.maintenance.rebuild.files import IMPLAUSIBLE, Left


class LastChange(NamedTuple):
    """The last change that the feed knows of an object. `row` is None where what it says of it cannot be read."""

    revision: int
    kind: int
    row: Row | None


def newest_row(own: Row | None, last: LastChange | None) -> tuple[Row | None, int]:
    """The row of an object with this one and this last change; and, where it has none, when it was deleted, or 0."""
    if last is None or (own is not None and own.revision >= last.revision):
        return own, 0
    if last.kind == ChangeKind.DELETED.value:
        return None, last.revision
    return last.row or own, 0


def newer_files(files: Iterable[Left], row: Row | None, deleted_at: int) -> list[str]:
    """The files that may be of a generation which no row or change tells of, the newest first."""
    known = row.generation if row is not None else deleted_at
    newer = [
        left
        for left in files
        # Of the plain name nothing is known but that it is of an object that once was new.
        if known < left.generation < IMPLAUSIBLE or (left.generation == 0 and known == 0)
    ]
    return [left.file for left in sorted(newer, reverse=True)]


def damaged_id(
    revision: int,
    *,
    row_elsewhere: bool,
    last_elsewhere: tuple[int, int] | None,
    change_s_row: bool,
    change_s_row_elsewhere: bool,
) -> Literal["objects", "changes"] | None:
    """Whether the row or the change of one revision has a damaged id, as they name two objects.

    It is that by whose damage alone all that is there can be explained; None: either may be it.

    Args:
        row_elsewhere: The object that the row names has another row.
        last_elsewhere: Revision and kind of the last change of it at another revision.
        change_s_row: The object that the change names has a row of this revision, too.
        change_s_row_elsewhere: It has one of another.
    """
    if row_elsewhere or change_s_row:
        return "objects" if row_elsewhere or last_elsewhere is not None else None
    if change_s_row_elsewhere:
        return "changes"
    if last_elsewhere is None:
        return None
    ended = last_elsewhere[0] > revision or last_elsewhere[1] == ChangeKind.DELETED.value
    return "objects" if ended else "changes"
