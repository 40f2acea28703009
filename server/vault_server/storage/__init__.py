"""Storage: an index, files, and a change feed in one directory; or in memory.

embedded        EmbeddedStore and AsyncEmbeddedStore, the entry point by which a path finds them, `check_directory`
memory          MemoryStore and AsyncMemoryStore, and `memory://`
generic         what every engine's Store does
maintenance     the audit, the scrub, repair; `rebuild` of a damaged register, which `check_directory` alone imports
engine          the parts of one open store, and what a fork does to them
uploads         blocks taken in; writes that lost their stream, until they are resumed
commit          many writes in one transaction; files removed that nothing needs any more
feed            what was committed, in order, and a signal of it
index           the register: rows, listings, the generations that are retired
files           the directory, blobs, staged bytes, one generation's blocks
options         StoreOptions: how a store is opened
decision        what a group of writes comes to: pure
os_errors       what SQLite and the disk report, as errors
failpoints      names for the steps of a write, at which a test may end the process
"""

from vault_server.storage.embedded.async_store import AsyncEmbeddedStore
from vault_server.storage.embedded.check_directory import check_directory
from vault_server.storage.embedded.opener import opener
from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.maintenance import CheckReport, Problem, ProblemKind, Repair, ScrubPass, ScrubStatus
from vault_server.storage.memory import AsyncMemoryStore, MemoryStore
from vault_server.storage.options import StoreOptions

__all__ = [
    "AsyncEmbeddedStore",
    "AsyncMemoryStore",
    "CheckReport",
    "EmbeddedStore",
    "MemoryStore",
    "Problem",
    "ProblemKind",
    "Repair",
    "ScrubPass",
    "ScrubStatus",
    "StoreOptions",
    "check_directory",
    "opener",
]
