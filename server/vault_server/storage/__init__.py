"""Embedded storage: a register, blobs, and a change feed in one directory.

store           EmbeddedStore, the shell over `reads` and `writing`
async_store     its async face; `async_streams` those of readers, writers and watches
opener          the entry point by which a path finds it
engine          the parts of one open store, and what a fork does to them
directory       the open directory, and whether another is in its place; `access` modes, `filesystem` which are refused
reads           looking up and loading; `reader` one generation's blocks
blobs           files and their names
register        the index
writing         from a caller's bytes to a commit
keeping         what was replaced, deleted or cut off, for as long as it is kept
feed            what was committed, in order, and who follows it
check           the audit, the scrub, repair, and the rebuild of a damaged register
failures        what SQLite and the disk report, as errors
faultpoints     names for the steps of a write, at which a test may end the process
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
