"""What an index finds: objects with where their bytes are, and what a collection claims."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vault.errors import VaultError
from vault.store.limits import BLOCK_SIZE, check_generation, check_key
from vault.store.specs import LoadItem
from vault.store.values import Key, LoadedObject, LoadResult, NotModified, ObjectInfo

from vault_server.storage.decision.refusals import cut_short
from vault_server.storage.decision.writes import Content


class Stored(NamedTuple):
    """An object at one generation, and where its bytes are.

    Attributes:
        retired: It was replaced or deleted, and is retained for a while.
    """

    info: ObjectInfo
    content: Content
    retired: bool = False


class Purged(NamedTuple):
    """What was removed before its time.

    Attributes:
        objects: Generations that were retained.
        bytes: Of all of them; those of copies are counted for each.
    """

    objects: int
    bytes: int


class Claimed(NamedTuple):
    """What a collection found.

    Attributes:
        files: Blobs that no generation has any more, of this claim and of those before it: to be removed, then
            forgotten.
        due: Microseconds since 1970 at which the next generation is to be collected; None: none is retained.
        retained: Bytes of the generations that are left.
    """

    files: list[str]
    due: int | None
    retained: int


def load_small(
    items: Sequence[LoadItem],
    room: int,
    find: Callable[[Key], tuple[ObjectInfo, Content | None] | None],
    require_sound: Callable[[ObjectInfo, Content | None], object] = lambda *_: None,
) -> list[LoadResult | Stored]:
    """What `Store.load_many` answers to each item; of an object whose bytes are in a blob, where they are.

    Args:
        room: Bytes of the answer; objects beyond them come without their data.
        find: Looks an object up, within the one moment that all of them are of; its content may be left out where it
            has more than a block.
        require_sound: Raises for a content that cannot be the object's.
    """
    outcomes: list[LoadResult | Stored] = []
    for item in items:
        outcome: LoadResult | Stored = None
        try:
            check_key(item.key)
            check_generation(item.if_generation_not_match)
            found = find(item.key)
            if found is not None:
                info, content = found
                if info.generation == item.if_generation_not_match:
                    outcome = NotModified(info.generation)
                elif info.size > min(BLOCK_SIZE, room):
                    outcome = LoadedObject(info, None)
                else:
                    require_sound(info, content)
                    assert content is not None  # noqa: S101  # it is sound
                    room -= info.size
                    if content.file is not None:
                        outcome = Stored(info, content)
                    else:
                        outcome = LoadedObject(info, require_whole(info, content.data or b""))
        except VaultError as error:
            outcome = error
        outcomes.append(outcome)
    return outcomes


def require_whole(info: ObjectInfo, data: bytes) -> bytes:
    """The bytes of an object of at most a block; CorruptionError when some are missing."""
    if len(data) < info.size:
        raise cut_short(info, 0)
    return data if len(data) == info.size else data[: info.size]
