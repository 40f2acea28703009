# Generated from _async/vault/near_names.py by scripts/unasync: DO NOT CHANGE.
"""Names that are like one that is not there: for the text of an error, and so of bounded cost."""

import heapq
from collections.abc import Iterable
from typing import Final

from vault._runtime.blocking import Blocking
from vault.errors import NotFoundError, VaultError, object_not_found
from vault.store.contract import Store
from vault.store.values import Key

_NAMES: Final = 50
"""Names that a page brings, and are compared."""

_LONGEST: Final = 64
"""Characters that are compared of each, behind what they all begin with: at the worst 40 ms a page, mostly 4."""

_ALIKE: Final = 0.6
"""As difflib has it: of two names that are alike, so much is the same."""


def not_found(store: Store, unit: str, key: Key) -> NotFoundError:
    """The error for an object that is not there, with names like its own: of the same unit, as its reader sees it."""
    return object_not_found(unit, key, _near(store, unit, key) if isinstance(key, str) else ())


def _near(store: Store, unit: str, name: str) -> list[str]:
    """At most three names. At most three pages are read: under as much of the name as still finds some."""
    for length in sorted({len(name) * 7 // 8, len(name) // 2, len(name) // 8}, reverse=True):
        if len(name) - length > _LONGEST:
            break
        try:
            page = store.list_page(unit, prefix=name[:length], page_size=_NAMES)
        except VaultError:  # what is to be told is that the object is not there
            break
        ends = [info.name[length:] for info in page.objects if info.name and len(info.name) - length <= _LONGEST]
        if near := Blocking.run(_alike, name[length:], ends, length):
            return [name[:length] + end for end in near]
    return []


def _alike(end: str, others: Iterable[str], shared: int) -> list[str]:
    """At most three of the others: those of which, with what all begin with, three fifths are the same, best first.

    As difflib's get_close_matches, but for `shared`, the characters that all begin with.
    """
    import difflib  # noqa: PLC0415  # seldom

    matcher = difflib.SequenceMatcher(b=end)
    found: list[tuple[float, str]] = []
    for other in others:
        matcher.set_seq1(other)
        both = len(end) + len(other)
        least = (_ALIKE * (2 * shared + both) - 2 * shared) / both
        if matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least and matcher.ratio() >= least:
            found.append((matcher.ratio() * both - both, other))
    return [other for _, other in heapq.nlargest(3, found)]
