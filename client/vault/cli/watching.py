"""The command watch: committed changes, a line each, until it is told to end."""

import os
import select
import stat
import sys
from collections.abc import Sequence

import click

from vault._runtime.blocking import start_thread
from vault._sync.feed.subscription import Subscription
from vault.cli import signals
from vault.cli.arguments import PREFIX, UNIT
from vault.cli.exits import Exit
from vault.cli.location import opened_store
from vault.cli.options import json_option, location_options
from vault.cli.output import write_record
from vault.store.limits import MAX_DATA_ID
from vault.store.values import Change


@click.command()
@click.option("--unit", "-u", "units", type=UNIT, multiple=True, help="Only this unit; may be repeated.")
@click.option("--prefix", "-p", type=PREFIX, help="Only objects whose name begins so.")
@click.option(
    "--since", type=click.IntRange(0, MAX_DATA_ID), help="Changes after this revision, too; 0: all that are known."
)
@json_option
@location_options
def watch(units: Sequence[str], prefix: str | None, since: int | None, *, as_json: bool) -> None:
    """Print changes as they are committed: revision, kind, unit, id, generation and name, a line each.

    Each comes once, in their order, also when the server was away meanwhile. It runs until it is
    interrupted or terminated, and ends with 0 then.
    """
    try:
        signals.interrupt()
        with opened_store() as store, Subscription(store, units, since) as changes:
            changes.open()
            _end_with_reader()
            for change in changes:
                if prefix is None or (change.name or "").startswith(prefix):
                    write_record(_document(change), as_json=as_json)
                    sys.stdout.flush()  # whoever reads it wants to know now
    except KeyboardInterrupt:
        return


def _document(change: Change) -> dict[str, object]:
    return {
        "revision": change.revision,
        "kind": change.kind.name.lower(),
        "unit": change.unit,
        "data_id": str(change.data_id),
        "generation": change.generation,
        "name": change.name,
    }


def _end_with_reader() -> None:
    """Ends the process when nobody reads standard output any more, also while there is nothing to write.

    Where it is a pipe; a thread waits for it, and the code is that of a write that would have failed.
    """
    poll = select.poll()
    poll.register(sys.stdout, 0)  # which leaves POLLERR, of a pipe without a reader

    def wait() -> None:
        while not any(event & select.POLLERR for _, event in poll.poll()):
            pass
        os._exit(Exit.BROKEN_PIPE)

    if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
        start_thread(wait, "vault-output")
