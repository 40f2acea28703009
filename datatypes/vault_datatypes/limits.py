"""What a stored object may take in memory when it is decoded.

A few hundred kilobytes can be the Parquet or PNG of gigabytes. What an object comes to is compared with what its
class allows before memory is taken for it.
"""

from typing import Final

from vault.datatype import Datatype
from vault.errors import DecodeError

RATIO: Final = 16
"""Times its stored size that an object may take when it is decoded, where that is more than its class's bytes."""


def limit(kind: type[Datatype], stored: int) -> int:
    """Bytes that an object of `stored` bytes may take."""
    return max(kind._max_decoded, RATIO * stored)  # noqa: SLF001  # an option of the class


def check_decoded(kind: type[Datatype], decoded: int, stored: int) -> None:
    """Raises DecodeError where an object of `stored` bytes comes to `decoded` ones, and may not."""
    allowed = limit(kind, stored)
    if decoded > allowed:
        raise DecodeError(
            f"{kind.__name__}: {stored} stored bytes come to {decoded} decoded ones, and {allowed} are allowed: "
            f"class Large({kind.__name__}, max_decoded={_above(decoded)}) takes them"
        )


def _above(size: int) -> str:
    return f"{(size >> 20) + 1} << 20"
