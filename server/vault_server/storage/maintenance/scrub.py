"""The scrub: everything in a store read again and again in the background, slowly, so that damage is found early.

Of the processes on a directory one scrubs at a time, the one that holds a lock; the others wait for it to end.
How far it is, and what it found, is in the register: a restart goes on from there.
"""

import fcntl
import json
import logging
import os
import sqlite3
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from vault._runtime.sync_async import Background, Event
from vault.errors import ClosedError, StorageError, VaultError
from vault.store.limits import check_number, check_seconds
from vault.store.values import from_time, to_time

from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.directory import REGISTER
from vault_server.storage.maintenance.audit import FIRST, all_rows, examine
from vault_server.storage.maintenance.report import Problem, ProblemKind, ScrubPass, ScrubStatus

_log = logging.getLogger(__name__)

SCRUB_RATE: Final = 10.0
"""MiB a second: 844 GiB a day, or 55 million small objects. It takes a tenth of what one hard disk reads, less of any
other, and of a core a twentieth at most (small objects; of large ones next to nothing: XXH3 runs at gigabytes a
second)."""

FASTEST: Final = 1e6
"""MiB a second."""

PASS_INTERVAL: Final = 86400.0
"""Seconds from the beginning of one pass to that of the next, at least: a small store is not read all day long."""

_KEEP_SECONDS: Final = 60.0
"""How much of a pass is done again after a crash, at most."""

_LEAST_SIZE: Final = 16 << 10
"""Bytes that an object counts for, however small: finding it is work, too (60 µs of processor)."""

_LEAST_WAIT: Final = 0.01
"""Seconds of one pause, at least: each wakes the interpreter, which a server would rather spend on its callers."""

_WAIT_SECONDS: Final = 5.0
_MAX_PROBLEMS: Final = 1000


@dataclass(slots=True)
class _State:
    """The row of the table `scrub`: the object that is next, or in the middle, at which generation and block of it."""

    number: int = FIRST
    generation: int = 0
    block: int = 0
    current: ScrubPass | None = None
    last: ScrubPass | None = None


def scrub_status(engine: Engine) -> ScrubStatus:
    """How far the scrub of this store is, in whatever process."""
    state = engine.connections.read(_load)
    return ScrubStatus(state.current, state.last)


def check_rate(rate: float) -> None:
    """Raises InvalidArgumentError, BAD_SETTING, unless it is a number of MiB a second: about a byte, or more."""
    check_number("rate of a scrub, in MiB a second,", rate, 1e-6, FASTEST)


class Scrubber:
    """A thread that scrubs an engine's store until `stop`."""

    def __init__(self, engine: Engine, *, rate: float, interval: float = PASS_INTERVAL) -> None:
        check_rate(rate)
        check_seconds("interval of a scrub", interval)
        self._engine = engine
        self._rate = rate * (1 << 20)
        self._interval = interval
        self._ended = Event()
        self._lock: int | None = None
        self._due = 0.0
        self._kept_at = 0.0
        self._background = Background(self._run, "vault-scrub")

    def start(self) -> None:
        """Begins. UnavailableError, OVERLOADED, when the system has no thread left."""
        self._background.start()

    def stop(self) -> None:
        """Ends it within a block's reading, and keeps how far it is. Harmless when repeated."""
        self._ended.set()
        self._background.stop()

    def abandon(self) -> None:
        """Closes its descriptor of the lock, which in a forked child is the parent's."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                wait = _WAIT_SECONDS
                try:
                    if self._is_chosen():
                        wait = self._scrub_when_due()
                except ClosedError:
                    return
                except (VaultError, OSError) as error:
                    _log.warning("the scrub goes on later: %s", error)
                self._ended.wait(wait)
        finally:
            self.abandon()

    def _is_chosen(self) -> bool:
        """Whether this process is the one that scrubs; then it stays so."""
        if self._lock is None:
            lock = self._engine.directory.open(f"{REGISTER}-scrub", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    def _scrub_when_due(self) -> float:
        """Does a pass, or the rest of one, if it is time. Returns the seconds until it may be."""
        state = self._engine.connections.read(_load)
        now = datetime.now(UTC)
        if state.current is None:
            since = (now - state.last.began_at).total_seconds() if state.last else -1.0
            if 0 <= since < self._interval:  # a clock that was set back: it is time
                return min(self._interval - since, 60.0)
            state = _State(current=ScrubPass(now), last=state.last)
            _log.info("scrub began")
        else:
            _log.info("scrub goes on", extra={"objects": state.current.objects, "size": state.current.size})
        self._due = self._kept_at = time.monotonic()
        complete = False
        try:
            complete = self._go_on(state)
        except StorageError as error:
            if error.reason != "REGISTER_DAMAGED":
                raise
            _add(state, problem=Problem(ProblemKind.DAMAGED_REGISTER, error.message))
            complete = True  # there is no getting past it
        finally:
            if complete and (read := state.current) is not None:
                state.current, state.last = None, replace(read, ended_at=datetime.now(UTC))
            self._keep(state)
        if complete and (last := state.last) and last.ended_at:
            seconds = (last.ended_at - last.began_at).total_seconds()
            told = {"objects": last.objects, "size": last.size, "problems": len(last.problems), "seconds": seconds}
            _log.info("scrub ended", extra=told)
        return _WAIT_SECONDS

    def _go_on(self, state: _State) -> bool:
        """Reads from where `state` is. Returns whether the end was reached."""
        # One at a time: what is read of a row is held against a file that is looked at right then.
        while stored := next(all_rows(self._engine, "objects", state.number, at_once=1), None):
            here = stored.number, stored.generation
            first = state.block if here == (state.number, state.generation) else 0
            state.number, state.generation = here
            self._pace(_LEAST_SIZE)
            for verified in examine(self._engine, stored, deep=True, first=first, fleeting=True):
                state.block = verified.block + 1
                _add(state, size=verified.size, problem=verified.problem)
                self._pace(verified.size)
                if self._ended.is_set():
                    return False
            state.number, state.generation, state.block = stored.number + 1, 0, 0
            _add(state, objects=1)
            if time.monotonic() - self._kept_at > _KEEP_SECONDS:
                self._keep(state)
        return True

    def _pace(self, size: int) -> None:
        """Waits as long as reading so much may take; time that was lost is not made up for."""
        self._due = max(self._due, time.monotonic() - 1.0) + size / self._rate
        delay = self._due - time.monotonic()
        if delay > _LEAST_WAIT:
            self._ended.wait(delay)

    def _keep(self, state: _State) -> None:
        try:
            self._engine.writer.submit(partial(_save, state=state)).result()
            self._kept_at = time.monotonic()
        except VaultError as error:  # a full disk: what was read is read again after a restart
            _log.warning("could not keep how far the scrub is: %s", error)


def _add(state: _State, *, objects: int = 0, size: int = 0, problem: Problem | None = None) -> None:
    """Counts what the current pass has read and found."""
    now = state.current or ScrubPass(datetime.now(UTC))
    problems = now.problems
    if problem is not None and problem not in problems:
        _log.error("scrub found a problem", extra={**asdict(problem), "kind": problem.kind.value})
        problems = (*problems, problem)[:_MAX_PROBLEMS]
    state.current = replace(now, objects=now.objects + objects, size=now.size + size, problems=problems)


def _load(connection: sqlite3.Connection) -> _State:
    row = connection.execute("SELECT * FROM scrub").fetchone()
    if row is None:
        return _State()
    number, generation, block, began_at, *counts = row[:7]
    return _State(number, generation, block, _to_pass(began_at, 0, *counts), _to_pass(*row[7:]))


def _save(connection: sqlite3.Connection, state: _State) -> None:
    current, last = _from_pass(state.current), _from_pass(state.last)
    row = (state.number, state.generation, state.block, current[0], *current[2:], *last)
    connection.execute("DELETE FROM scrub")
    connection.execute(f"INSERT INTO scrub VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  # marks only


def _to_pass(began_at: int, ended_at: int, objects: int, size: int, problems: str) -> ScrubPass | None:
    if not began_at:
        return None
    found = [Problem(ProblemKind(kind), *rest) for kind, *rest in json.loads(problems)]
    return ScrubPass(to_time(began_at), to_time(ended_at) if ended_at else None, objects, size, tuple(found))


def _from_pass(scrubbed: ScrubPass | None) -> tuple[int, int, int, int, str]:
    if scrubbed is None:
        return 0, 0, 0, 0, "[]"
    ended_at = from_time(scrubbed.ended_at) if scrubbed.ended_at else 0
    problems = json.dumps([[p.kind.value, p.detail, p.unit, p.data_id, p.block] for p in scrubbed.problems])
    return from_time(scrubbed.began_at), ended_at, scrubbed.objects, scrubbed.size, problems
