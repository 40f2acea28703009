"""The demo's second half: one client edits through a ticket, another's cache sees it."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from vault import RemoteVault, TextWrapper, Vault
from vault._sync.remote.store import RemoteStore
from vault.store.contract import LoadResult
from vault.store.specs import LoadItem
from vault.store.values import Key, ObjectInfo

from .narration import step, time_text
from .processes import DemoError, ServerProcess

_UNIT, _NAME, _TEXT, _ADDED = "notes", "greeting", "hello", " world"
_SEE_WITHIN_SECONDS = 30.0
_BETWEEN_LOADS_SECONDS = 0.0005
_FOLLOW_WITHIN_SECONDS = 10.0
_STRUCTURE = {_UNIT: (TextWrapper, 10)}


class CountingStore(RemoteStore):
    """A server, and how often it was asked for an object: what a cache's own counters cannot prove."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.requests = 0

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self.requests += 1
        return super().stat_many(unit, keys)

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        self.requests += 1
        return super().load_many(unit, items)


def show_coherence(console: Console, server: ServerProcess) -> None:
    """Shows a cached object served without a request, and replaced as soon as somebody edits it.

    Raises:
        DemoError: The cache asked when it need not, or showed the old text after the edit.
    """
    with RemoteVault(server.address, _STRUCTURE) as writer:
        writer.upload(_UNIT, TextWrapper(_TEXT), name=_NAME)
    with CountingStore(server.address) as store, Vault(store, _STRUCTURE) as reader:
        _show_hits(console, reader, store)
        _show_edit(console, reader, store, server)


def _load(vault: Vault) -> str:
    ticket = vault.load(_UNIT, _NAME)
    if ticket is None:
        raise DemoError(f"{_NAME} is gone")
    with ticket:
        text: str = ticket.get_data().data
    return text


def _timed_load(vault: Vault) -> float:
    began = time.perf_counter()
    _load(vault)
    return time.perf_counter() - began


def _show_hits(console: Console, reader: Vault, store: CountingStore) -> None:
    first = _timed_load(reader)
    _await_feed(reader, store)
    asked = store.requests
    again = median(_timed_load(reader) for _ in range(1000))
    step(
        console,
        "cache",
        f"first load of an object: {time_text(first)}; each of 1,000 more: {time_text(again)}, "
        f"with {store.requests - asked} requests",
        "it stays in the reader's memory, and as long as the change feed says nothing it is known to be current",
    )


def _await_feed(reader: Vault, store: CountingStore) -> None:
    """Loads until a load asks nothing: until the feed is live, what is cached is asked after each time."""
    deadline = time.monotonic() + _FOLLOW_WITHIN_SECONDS
    while time.monotonic() < deadline:
        asked = store.requests
        _load(reader)
        if store.requests == asked:
            return
        time.sleep(_BETWEEN_LOADS_SECONDS)
    raise DemoError("the reader's cache asks the server at every load: it does not follow the change feed")


def _show_edit(console: Console, reader: Vault, store: CountingStore, server: ServerProcess) -> None:
    asked = store.requests
    editor = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("editor.py"), server.address, _UNIT, _NAME, _ADDED],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        loads, seen = _await_edit(reader, editor)
        output, errors = editor.communicate(timeout=_SEE_WITHIN_SECONDS)
    except BaseException:
        editor.kill()
        editor.communicate()
        raise
    if editor.returncode != 0:
        raise DemoError(f"the editing client ended with {editor.returncode}: {errors.strip()[-200:]}")
    report = json.loads(output)
    asked = store.requests - asked
    late = seen - report["closed"]
    when = (
        f"{time_text(late)} after it was written" if late > 0 else "before the writer was even told that it is written"
    )
    step(
        console,
        "ticket",
        f"process {editor.pid} edited {report['before']!r} to {_TEXT + _ADDED!r} through a ticket, "
        f"written back in {time_text(report['closed'] - report['closing'])}",
        "it changed an object in its own memory; closing the ticket stored it, under the generation it had loaded",
    )
    step(
        console,
        "coherent",
        f"the reader loaded it {loads:,} times meanwhile, and had the new text {when}",
        f"it asked the server {asked} time{'' if asked == 1 else 's'}: when the feed had said that its copy is old",
    )


def _await_edit(reader: Vault, editor: "subprocess.Popen[str]") -> tuple[int, float]:
    deadline = time.monotonic() + _SEE_WITHIN_SECONDS
    loads = 0
    while time.monotonic() < deadline:
        text = _load(reader)
        loads += 1
        if text == _TEXT + _ADDED:
            return loads, time.time()
        if text != _TEXT:
            raise DemoError(f"the reader saw {text!r}, which nobody wrote")
        if editor.poll() not in (None, 0):
            return loads, time.time()
        time.sleep(_BETWEEN_LOADS_SECONDS)
    raise DemoError(f"the reader still saw the old text after {_SEE_WITHIN_SECONDS:g} s")
