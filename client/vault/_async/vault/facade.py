"""AsyncVault: typed Python objects and large files in units."""

from vault._async.vault.reading import AsyncReading
from vault._async.vault.writing import AsyncWriting


class AsyncVault(AsyncReading, AsyncWriting):
    """Typed Python objects and large files in units, in a directory or on a storage host.

        >>> async with AsyncVault("./example", {"notes": (TextWrapper, 100)}) as example:
        ...     data_id = await example.upload("notes", TextWrapper("hello"), name="greeting")
        ...     if ticket := await example.load("notes", "greeting"):  # None: there is no such object
        ...         async with ticket:
        ...             ticket.get_ref().data += " world"  # written back when the ticket closes
        ...     async for info in example.list("notes"):
        ...         print(info.name, info.size)
        greeting 11

    A key is an id or a name. Every call raises UnknownUnitError for a unit that is not in the structure and
    InvalidArgumentError for a key that can be none, both before any I/O; ClosedError when the vault is closed;
    UnavailableError when a server does not answer in time, StorageError when the store cannot read or write.

    Of `…_many`, each item succeeds or fails alone, in order. When some fail, one BatchError carries every item's
    outcome in `results`: what the call returns for it, or its error. What was done stays done. A call that fails as a
    whole (the unit is unknown, the vault closed, the server away) raises that error instead; then it is not known which
    items took effect. Any number of items is taken, in several requests when need be.

    The examples of the methods have a `vault` with the units "notes" (of TextWrapper), which holds the text "hello",
    named "greeting", under the id 1; "files" (BytesWrapper), which holds two lines, named "lines"; and "settings"
    (JsonWrapper), which holds nothing.

    Threads may share one; an asynchronous one belongs to one event loop, whose tasks may share it. One that is not
    asynchronous may be made before a fork and used in the child, which then has connections and a cache of its
    own; tickets, readers, writers and subscriptions stay with the process that opened them.
    """
