"""Values as people read them."""

from datetime import datetime

from vault._display import size_text  # the commands take it from here
from vault.store.values import ObjectInfo


def tags_text(info: ObjectInfo) -> str:
    """Tags as they are given: `K=V K=V`, by key."""
    return " ".join(f"{key}={value}" for key, value in sorted(info.tags.items()))


def times(info: ObjectInfo) -> tuple[datetime, datetime | None, datetime | None]:
    """Those of a long listing: of the last change, of the last one of its bytes, and when it is gone."""
    return info.updated_at, info.written_at, info.expires_at


def label(info: ObjectInfo) -> str | int:
    """What an object is called where something is said of it: its name, or else its id."""
    return info.name or info.data_id


def time_text(moment: datetime) -> str:
    """To the second, in local time."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def counted(objects: int, size: int) -> str:
    """How many objects, and how much: `1 object (5 B)`."""
    return f"{objects} object{'s' * (objects != 1)} ({size_text(size)})"
