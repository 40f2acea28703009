"""The demo's second half: one client edits through a ticket, another's cache sees it."""

import json
import subprocess
import sys
import time
from statistics import median

from rich.console import Console

from vault import RemoteVault, TextWrapper
from vault.cli.demo.narration import step, time_text
from vault.cli.demo.processes import DemoError, ServerProcess

_UNIT, _NAME, _TEXT, _ADDED = "notes", "greeting", "hello", " world"
_SEE_WITHIN_SECONDS = 30.0
_BETWEEN_LOADS_SECONDS = 0.0005
_STRUCTURE = {_UNIT: (TextWrapper, 10)}


def show_coherence(console: Console, server: ServerProcess) -> None:
    """Shows a cached object served without a request, and replaced as soon as somebody edits it.

    Raises:
        DemoError: The cache asked when it need not, or showed the old text after the edit.
    """
    with RemoteVault(server.address, _STRUCTURE) as writer:
        writer.upload(_UNIT, TextWrapper(_TEXT), name=_NAME)
    with RemoteVault(server.address, _STRUCTURE) as reader:
        _show_hits(console, reader)
        _show_edit(console, reader, server)


def _load(vault: RemoteVault) -> str:
    ticket = vault.load(_UNIT, _NAME)
    if ticket is None:
        raise DemoError(f"{_NAME} is gone")
    with ticket:
        text: str = ticket.get_data().data
    return text


def _timed_load(vault: RemoteVault) -> float:
    began = time.perf_counter()
    _load(vault)
    return time.perf_counter() - began


def _show_hits(console: Console, reader: RemoteVault) -> None:
    first = _timed_load(reader)
    misses = reader.cache_stats().misses
    again = median(_timed_load(reader) for _ in range(1000))
    if reader.cache_stats().misses != misses:
        raise DemoError("a load of a cached object went to the server")
    step(
        console,
        "cache",
        f"first load of an object: {time_text(first)}; each of 1,000 more: {time_text(again)}",
        "the object stays in the reader's memory, and as long as it is known current no request is made",
    )


def _show_edit(console: Console, reader: RemoteVault, server: ServerProcess) -> None:
    before = reader.cache_stats()
    editor = subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-m", "vault.cli.demo.editor", server.address, _UNIT, _NAME, _ADDED],
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
    after = reader.cache_stats()
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
        f"{after.hits - before.hits:,} loads came from its cache, {after.misses - before.misses} asked the server: "
        "the change feed had dropped the old one",
    )


def _await_edit(reader: RemoteVault, editor: "subprocess.Popen[str]") -> tuple[int, float]:
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
