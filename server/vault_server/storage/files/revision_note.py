"""The last revision that was acknowledged, noted beside the register, in the file that writers lock to take turns.

SQLite takes a write-ahead log that is missing, or broken in the middle, for one that ends there: the register
then opens without a word, at an older state, with objects that were replaced or deleted since. The note tells.
It is written after the COMMIT and not fsynced, so after a power loss it may be behind the register, never ahead;
with durability "relaxed", where a power loss may take commits away, it is not written.
"""

import logging
import os
import re
from pathlib import Path
from typing import Final

import xxhash

_log = logging.getLogger(__name__)

_NOTE: Final = re.compile(rb"([0-9]{1,19}) ([0-9a-f]{16})\n")


def turn_file(register: Path) -> Path:
    """The file of the writers' turns, which is there from the first write on."""
    return register.with_name(f"{register.name}-turn")


def noted_revision(register: Path) -> int:
    """The revision in the note; 0 when there is none, or none that can be read."""
    try:
        found = _NOTE.match(turn_file(register).read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found and _seal(found[1]) == found[2] else 0


def note_revision(descriptor: int, revision: int) -> None:
    """Notes a revision that is durable. Of the process whose turn it is."""
    digits = b"%019d" % revision  # one length, so that the new note covers the old one
    try:
        os.pwrite(descriptor, b"%b %b\n" % (digits, _seal(digits)), 0)
    except OSError as error:  # the write it is about is done; the next one notes more than this one would have
        _log.warning("could not note revision %d beside the register: %s", revision, error)


def _seal(digits: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(digits).encode()
