"""Embedded storage: an index, files, and a change feed in one directory.

embedded        EmbeddedStore and AsyncEmbeddedStore, the entry point by which a path finds them, `check_directory`
maintenance     the audit, the scrub, repair; `rebuild` of a damaged register, which `check_directory` alone imports
engine          the parts of one open store, its reads and its writes, and what a fork does to them
uploads         blocks taken in; writes that lost their stream, until they are resumed
commit          many writes in one transaction; files removed that nothing needs any more
feed            what was committed, in order, and who follows it
index           the register: rows, listings, the generations that are retired
files           the directory, blobs, staged bytes, one generation's blocks
options         StoreOptions: how a store is opened
os_errors       what SQLite and the disk report, as errors
failpoints      names for the steps of a write, at which a test may end the process
"""

from vault_server.storage.embedded.async_store import AsyncEmbeddedStore
from vault_server.storage.embedded.check_directory import check_directory
from vault_server.storage.embedded.opener import opener
from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.maintenance import CheckReport, Problem, ProblemKind, Repair, ScrubPass, ScrubStatus
from vault_server.storage.options import StoreOptions

__all__ = [
    "AsyncEmbeddedStore",
    "CheckReport",
    "EmbeddedStore",
    "Problem",
    "ProblemKind",
    "Repair",
    "ScrubPass",
    "ScrubStatus",
    "StoreOptions",
    "check_directory",
    "opener",
]
