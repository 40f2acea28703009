# Generated from _async/vault/facade.py by scripts/unasync: DO NOT CHANGE.
"""Vault: typed Python objects and large files in units."""

from vault._sync.vault.batches import Batches
from vault._sync.vault.objects import Objects
from vault._sync.vault.streams import Streams
from vault._sync.vault.watching import Watching


class Vault(Objects, Batches, Streams, Watching):
    """Typed Python objects and large files in units, in a directory or on a storage host.

        >>> with Vault("./example", {"notes": (TextWrapper, 100)}) as example:
        ...     data_id = example.upload("notes", TextWrapper("hello"), name="greeting")
        ...     if ticket := example.load("notes", "greeting"):  # None: there is no such object
        ...         with ticket:
        ...             ticket.get_ref().data += " world"  # written back when the ticket closes
        ...     for info in example.list("notes"):
        ...         print(info.name, info.size)
        greeting 11

    The examples of the methods have a `vault` with the units "notes" (of TextWrapper), "settings" (JsonWrapper) and
    "files" (BytesWrapper), which holds nothing yet.

    Threads may share one; an asynchronous one belongs to one event loop, whose tasks may share it. One that is not
    asynchronous may be made before a fork and used in the child, which then has connections and a cache of its
    own; tickets, readers, writers and subscriptions stay with the process that opened them.
    """
