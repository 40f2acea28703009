# Generated from _async/vault/facade.py by scripts/unasync: DO NOT CHANGE.
"""Vault: typed Python objects and large files in units."""

from vault._sync.vault.batches import Batches
from vault._sync.vault.objects import Objects
from vault._sync.vault.streams import Streams
from vault._sync.vault.watching import Watching


class Vault(Objects, Batches, Streams, Watching):
    """Typed Python objects and large files in units, in a directory or on a storage host.

        with Vault("./data", {"documents": (Document, 100)}) as vault:
            data_id = vault.upload("documents", Document("hello"), name="readme")
            if ticket := vault.load("documents", data_id):  # None: there is no such object
                with ticket:
                    ticket.get_ref().text += " world"  # written back when the ticket closes

    Threads may share one; an asynchronous one belongs to one event loop, whose tasks may share it. One that is not
    asynchronous may be made before a fork and used in the child, which then has connections and a cache of its
    own; tickets, readers, writers and subscriptions stay with the process that opened them.
    """
