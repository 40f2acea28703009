"""AsyncVault: typed Python objects and large files in units."""

from vault._async.vault.batches import AsyncBatches
from vault._async.vault.objects import AsyncObjects
from vault._async.vault.streams import AsyncStreams
from vault._async.vault.watching import AsyncWatching


class AsyncVault(AsyncObjects, AsyncBatches, AsyncStreams, AsyncWatching):
    """Typed Python objects and large files in units, in a directory or on a storage host.

        >>> async with AsyncVault("./example", {"notes": (TextWrapper, 100)}) as example:
        ...     data_id = await example.upload("notes", TextWrapper("hello"), name="greeting")
        ...     if ticket := await example.load("notes", "greeting"):  # None: there is no such object
        ...         async with ticket:
        ...             ticket.get_ref().data += " world"  # written back when the ticket closes
        ...     async for info in example.list("notes"):
        ...         print(info.name, info.size)
        greeting 11

    The examples of the methods have a `vault` with the units "notes" (of TextWrapper), "settings" (JsonWrapper) and
    "files" (BytesWrapper), which holds nothing yet.

    Threads may share one; an asynchronous one belongs to one event loop, whose tasks may share it. One that is not
    asynchronous may be made before a fork and used in the child, which then has connections and a cache of its
    own; tickets, readers, writers and subscriptions stay with the process that opened them.
    """
