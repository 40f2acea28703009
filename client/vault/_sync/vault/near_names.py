# Generated from _async/vault/near_names.py by scripts/unasync: DO NOT CHANGE.
"""Names that are like one that is not there: for the text of an error, and so of bounded cost."""

import difflib
from typing import Final

from vault.errors import NotFoundError, VaultError, object_not_found
from vault.store.contract import Store
from vault.store.values import Key

_NAMES: Final = 100
"""Names that a page brings, and are compared."""

_LONGEST: Final = 128
"""Characters of a name that is compared: the time for it grows with their square, to 0.2 ms at this length."""


def not_found(store: Store, unit: str, key: Key) -> NotFoundError:
    """The error for an object that is not there, with names like its own: of the same unit, as its reader sees it."""
    return object_not_found(unit, key, _near(store, unit, key) if isinstance(key, str) else ())


def _near(store: Store, unit: str, name: str) -> list[str]:
    """At most three names. At most three pages are read: under as much of the name as still finds some."""
    if len(name) > _LONGEST:
        return []
    for prefix in dict.fromkeys((name[: len(name) * 7 // 8], name[: len(name) // 2], name[: len(name) // 8])):
        try:
            page = store.list_page(unit, prefix=prefix, page_size=_NAMES)
        except VaultError:  # what is to be told is that the object is not there
            return []
        names = [info.name for info in page.objects if info.name is not None and len(info.name) <= _LONGEST]
        if near := difflib.get_close_matches(name, names):
            return near
    return []
