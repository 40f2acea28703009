"""Embedded storage: a register, blobs, and a change feed in one directory.

The store
    store           EmbeddedStore, the shell over `reads` and `writes`
    async_store     its async face; `async_streams` those of readers, writers and watches
    engine          the parts of one open store, and what a fork does to them
    opener          the entry point by which a path finds it
The register
    register        rows as values; `listing` pages of them
    schema          the tables, their versions and the steps between them
    connections     SQLite connections, leased; `failures` what SQLite and the disk report, as errors
    opening         a register that is missing, torn or too old is told; `watermark` is how the last is known
    presence        who has a directory open
    adoption        directories that pyvault wrote; `measuring` what a file's bytes come to
Reading
    reads           looking up and loading
    reader          one generation's blocks
Writing, in the order in which a write goes through
    writes          arguments checked, the writer's jobs made
    upload          blocks taken in, into `staging`; `resumable` when they are to outlive their stream
    commands        what each write decides and does in a transaction
    writer          the thread that commits many of them at once
    transaction     revisions, files named, what is undone
    blobs           files and their names; `vault.writeback` lets the disk begin with a large one early
    reserve         room that is kept on a full disk
    faultpoints     names for the steps, at which a test may end the process
Afterwards
    retention       generations that were replaced or deleted, for as long as they are kept
    sweeper         files that nothing needs any more
    resumption      writes that lost their stream, for as long as they are kept; `journal` one of them on the disk
Following
    feed            what was committed, in order; `bell` says when
    watch           one watcher's place in it; `notifier` tells event loops
Looking after it
    scrub           everything read in the background
    check           the audit, repair, and the rebuild of a damaged register
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
