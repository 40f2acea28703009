"""Who has a lease on a name, and for how long: pages of records, and what a request makes of one. No I/O."""

import hashlib
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import xxhash
from vault.errors import UnavailableError
from vault.store.limits import MAX_LEASE

PAGES: Final = 1024
PAGE_BYTES: Final = 4096
"""A page holds 85 leases. A name has its page, so all of them hold some 50,000 before one is full."""

_RECORD: Final = struct.Struct("<16s16sQQ")  # of the name, the holder, the end in nanoseconds, a checksum of these
_MOST: Final = PAGE_BYTES // _RECORD.size
_SECOND: Final = 1_000_000_000


class Lease(NamedTuple):
    """A lease that is held.

    Attributes:
        key: Of the unit and the name.
        until: In nanoseconds, by the clock of whoever keeps the pages.
    """

    key: bytes
    holder: bytes
    until: int


def lease_key(unit: str, name: str) -> bytes:
    """What stands for the name, in 16 bytes that no two names share."""
    return hashlib.blake2b(f"{unit}/{name}".encode(), digest_size=16).digest()


def holder_of(principal: str, holder: bytes) -> bytes:
    """What stands for a principal's holder, in 16 bytes that no two principals share."""
    return hashlib.blake2b(f"{principal}/".encode() + holder, digest_size=16).digest() if principal else holder


def page_number(key: bytes) -> int:
    """The page that a name's lease is in."""
    return int.from_bytes(key[:8], "little") % PAGES


def acquire(page: bytes, boot: bytes, wanted: Lease, now: int) -> tuple[float, bytes]:
    """The seconds until somebody else's lease ends, 0.0 when there is none, and the page then, with the wanted one.

    Raises:
        UnavailableError: OVERLOADED, the page is full of leases that are held.
    """
    others = []
    for lease in _held(page, boot, now):
        if lease.key != wanted.key:
            others.append(lease)
        elif lease.holder != wanted.holder:
            return (lease.until - now) / _SECOND, page
    if len(others) >= _MOST:
        raise UnavailableError("too many leases are held at once: try again when some have ended", reason="OVERLOADED")
    return 0.0, _packed([*others, wanted], boot)


def release(page: bytes, boot: bytes, key: bytes, holder: bytes, now: int) -> bytes:
    """The page without this lease, when the holder has it."""
    held = list(_held(page, boot, now))
    left = [lease for lease in held if (lease.key, lease.holder) != (key, holder)]
    return page if len(left) == len(held) else _packed(left, boot)


def ends_after(seconds: float, now: int) -> int:
    """When a lease ends that begins now."""
    return now + round(seconds * _SECOND)


def _held(page: bytes, boot: bytes, now: int) -> Iterator[Lease]:
    """Those that have not ended. A record that is damaged, or of before the machine started, is none."""
    whole = len(page) // _RECORD.size * _RECORD.size
    latest = ends_after(MAX_LEASE, now)
    for key, holder, until, seal in _RECORD.iter_unpack(page[:whole]):
        if not until:  # nothing from here on
            return
        lease = Lease(key, holder, until)
        if now < until <= latest and seal == _seal(lease, boot):
            yield lease


def _packed(leases: list[Lease], boot: bytes) -> bytes:
    return b"".join(_RECORD.pack(*lease, _seal(lease, boot)) for lease in leases)


def _seal(lease: Lease, boot: bytes) -> int:
    key, holder, until = lease
    return int(xxhash.xxh3_64_intdigest(b"%b%b%d %b" % (key, holder, until, boot)))
