"""What the feed says became of an object, where its own rows do not."""

import json
from typing import NamedTuple

from vault.errors import CorruptionError, VaultError
from vault.store.limits import MAX_DATA_ID, check_unit
from vault.store.values import ObjectInfo

from vault_server.storage.index.objects import to_info


class Key(NamedTuple):
    unit: str
    data_id: int


class Fate(NamedTuple):
    """The last change that the feed knows of an object."""

    revision: int
    kind: int
    generation: int
    name: str | None
    answer: str | None


def is_key(key: Key) -> bool:
    try:
        check_unit(key.unit)
    except VaultError:
        return False
    return isinstance(key.data_id, int) and 0 < key.data_id <= MAX_DATA_ID


def told_by(key: Key, fate: Fate) -> ObjectInfo | None:
    """The object as the feed has it after its last change."""
    try:
        size, whole, datatype, tags, created_at, updated_at = json.loads(fate.answer or "")
        row = (*key, fate.generation, fate.revision, size, whole, datatype, fate.name, tags, created_at, updated_at)
        info = to_info(row)
    except (ValueError, TypeError, CorruptionError):
        return None
    sound = isinstance(size, int) and size >= 0 and 0 < info.generation <= info.revision
    return info if sound and isinstance(whole, int) else None
