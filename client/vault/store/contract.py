"""The contract under every Vault: bytes, in units, with generations.

A Store knows nothing of Python objects. EmbeddedStore keeps them in a directory, RemoteStore asks a
server, and a server answers out of any Store, so they compose. `Store` and `AsyncStore` have the same
methods under the same names. `vault.testing` holds the conformance suite for both.

What holds for every Store:

* A generation's bytes never change. A reader finishes with the bytes it began with.
* When a write returns, a crash keeps it. Before, no reader sees any of it.
* Arguments are checked before any I/O, and nothing is changed by a call that raises.
* Errors are those of `vault.errors`, the same for the same cause in every Store.
* Checksums end to end: the writer computes each block's, the store verifies and keeps it; on the
  way out the store hands over the *kept* checksum and whoever shows the bytes to an application
  verifies them (`Block.verify`).
* A retried write (the same request_id) is applied once, and answers as it did the first time. Another
  write under its request_id is refused: BAD_REQUEST_ID.
* Batch calls take and give sequences: plain lists, or `vault.store.columns`, which equal them and make an item when it
  is looked at. `ObjectInfos.of` and its like make columns of either.
* Sync stores may be shared by threads, async ones by the tasks of one event loop.
* What a store cannot do raises UnsupportedError. So does, by default, what the contract got after a store was written.
"""

from vault.store._async.contract import AsyncStore
from vault.store._async.streams import AsyncBlockReader, AsyncBlockWriter, AsyncWatch
from vault.store._sync.contract import Store
from vault.store._sync.streams import BlockReader, BlockWriter, Watch
from vault.store.values import LoadResult

__all__ = [
    "AsyncBlockReader",
    "AsyncBlockWriter",
    "AsyncStore",
    "AsyncWatch",
    "BlockReader",
    "BlockWriter",
    "LoadResult",
    "Store",
    "Watch",
]
