# Generated from _async/vault/calls.py by scripts/unasync: DO NOT CHANGE.
"""Calls: everything that is asked of a vault about one unit or another."""

from vault._sync.vault.computing import Computing
from vault._sync.vault.copying import Copying
from vault._sync.vault.describing import Describing
from vault._sync.vault.holdings import Holdings
from vault._sync.vault.putting import Putting


class Calls(Computing, Putting, Copying, Describing, Holdings):
    """The calls whose first argument is a unit; an Unit has each of them, too, without that argument."""
