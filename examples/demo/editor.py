"""`editor.py ADDRESS UNIT KEY TEXT`: edits a text through a ticket, as any client would.

Prints one JSON document: what was there, and when (seconds since the epoch) the ticket began to
close and had closed, that is, when the change was written back.
"""

import json
import sys
import time

from vault import RemoteVault, TextWrapper


def edit(address: str, unit: str, key: str, text: str) -> None:
    """Appends to the text of an object."""
    with RemoteVault(address, {unit: (TextWrapper, 10)}) as vault:
        ticket = vault.load(unit, key)
        if ticket is None:
            sys.exit(f"unit {unit!r} has no object named {key!r}")
        with ticket:
            before = ticket.get_data().data
            ticket.get_ref().data += text
            closing = time.time()
        closed = time.time()
    sys.stdout.write(json.dumps({"before": before, "closing": closing, "closed": closed}) + "\n")


if __name__ == "__main__":
    edit(*sys.argv[1:])
