"""What an index is told and what it answers, the same for both faces of it."""

from typing import NamedTuple

from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.writes import Content


class Stored(NamedTuple):
    """An object at one generation, and where its bytes are."""

    row: Row
    content: Content


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
