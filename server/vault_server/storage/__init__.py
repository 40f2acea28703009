"""Embedded storage: a register, blobs, and a change feed in one directory.

store       EmbeddedStore, the shell over `reads` and `writes`; `async_store` its async face
engine      the parts of one open store, and what a fork does to them
register    rows as values; `schema` makes the tables, `connections` leases SQLite connections
writer      the thread that commits; `transaction` and `commands` are what a commit is made of
blobs       files and their names; `staging` before they are committed, `sweeper` when they are dropped
retention   generations that were replaced or deleted, for as long as they are kept
feed        what was committed, in order; `watch` follows it
adoption    directories that pyvault wrote
opening     a register that is missing, torn or too old is told; `watermark` is how the last is known
presence    who has a directory open
scrub       everything read in the background
check       the audit, repair, and the rebuild of a damaged register
"""

from vault_server.storage.async_store import AsyncEmbeddedStore
from vault_server.storage.check import CheckReport, Problem, ProblemKind, Repair, ScrubPass, ScrubStatus
from vault_server.storage.check.directory import check_directory
from vault_server.storage.opener import opener
from vault_server.storage.store import EmbeddedStore

__all__ = [
    "AsyncEmbeddedStore",
    "CheckReport",
    "EmbeddedStore",
    "Problem",
    "ProblemKind",
    "Repair",
    "ScrubPass",
    "ScrubStatus",
    "check_directory",
    "opener",
]
