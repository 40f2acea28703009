"""AsyncVault: typed Python objects and large files in units."""

from vault._async.vault.batches import AsyncBatches
from vault._async.vault.objects import AsyncObjects
from vault._async.vault.streams import AsyncStreams
from vault._async.vault.watching import AsyncWatching


class AsyncVault(AsyncObjects, AsyncBatches, AsyncStreams, AsyncWatching):
    """Typed Python objects and large files in units, in a directory or on a storage host.

        async with AsyncVault("./data", {"documents": (Document, 100)}) as vault:
            data_id = await vault.upload("documents", Document("hello"), name="readme")
            if ticket := await vault.load("documents", data_id):  # None: there is no such object
                async with ticket:
                    ticket.get_ref().text += " world"  # written back when the ticket closes

    Threads may share one; an asynchronous one belongs to one event loop, whose tasks may share it. One that is not
    asynchronous may be made before a fork and used in the child, which then has connections and a cache of its
    own; tickets, readers, writers and subscriptions stay with the process that opened them.
    """
