# Generated from _async/vault/calls.py by scripts/unasync: DO NOT CHANGE.
"""Calls: everything that is asked of a vault about one unit or another."""

from vault._sync.vault.reading import Reading
from vault._sync.vault.writing import Writing


class Calls(Reading, Writing):
    """The calls whose first argument is a unit; an Unit has each of them, too, without that argument."""
