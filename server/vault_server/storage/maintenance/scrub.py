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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

from vault._runtime.sync_async import Background, Event
from vault.errors import ClosedError, StorageError, VaultError
from vault.store.limits import check_number, check_seconds

from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.directory import REGISTER
from vault_server.storage.index.objects import to_time
from vault_server.storage.maintenance import row_checks
from vault_server.storage.maintenance.examine import examine
from vault_server.storage.maintenance.report import Problem, ProblemKind, ScrubPass, ScrubStatus

_log = logging.getLogger(__name__)

SCRUB_RATE: Final = 10.0
"""MiB a second: 844 GiB a day, or 55 million small objects. It takes a tenth of what one hard disk reads, less of any
other, and of a core a twentieth at most (small objects; of large ones next to nothing: XXH3 runs at gigabytes a
second)."""

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
    """The row of the table `scrub`."""

    number: int = row_checks.FIRST
    generation: int = 0
    block: int = 0
    began_at: int = 0
    objects: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)
    last_began_at: int = 0
    last_ended_at: int = 0
    last_objects: int = 0
    last_size: int = 0
    last_problems: list[Problem] = field(default_factory=list)


def scrub_status(engine: Engine) -> ScrubStatus:
    """How far the scrub of this store is, in whatever process."""
    state = engine.connections.read(_load)
    current = last = None
    if state.began_at:
        current = ScrubPass(to_time(state.began_at), None, state.objects, state.size, tuple(state.problems))
    if state.last_ended_at:
        began, ended = to_time(state.last_began_at), to_time(state.last_ended_at)
        last = ScrubPass(began, ended, state.last_objects, state.last_size, tuple(state.last_problems))
    return ScrubStatus(current, last)


FASTEST: Final = 1e6
"""MiB a second."""


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

    def leave(self) -> None:
        """In a forked child: the lock is the parent's."""
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
            self.leave()

    def _is_chosen(self) -> bool:
        """Whether this process is the one that scrubs; then it stays so."""
        if self._lock is not None:
            return True
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
        now = time.time_ns() // 1000
        if not state.began_at:
            since = (now - state.last_began_at) / 1e6
            if state.last_ended_at and 0 <= since < self._interval:  # a clock that was set back: it is time
                return min(self._interval - since, 60.0)
            state = _new_pass(state, now)
            _log.info("scrub began")
        else:
            _log.info("scrub goes on", extra={"objects": state.objects, "size": state.size})
        self._due = self._kept_at = time.monotonic()
        complete = False
        try:
            complete = self._go_on(state)
        except StorageError as error:
            if error.reason != "REGISTER_DAMAGED":
                raise
            self._tell(state, Problem(ProblemKind.DAMAGED_REGISTER, error.message))
            complete = True  # there is no getting past it
        finally:
            if complete:
                _end_pass(state, time.time_ns() // 1000)
            self._keep(state)
        if complete:
            _log.info(
                "scrub ended",
                extra={
                    "objects": state.last_objects,
                    "size": state.last_size,
                    "problems": len(state.last_problems),
                    "seconds": (state.last_ended_at - state.last_began_at) / 1e6,
                },
            )
        return _WAIT_SECONDS

    def _go_on(self, state: _State) -> bool:
        """Reads from where `state` is. Returns whether the end was reached."""
        while True:
            found = self._engine.connections.read(partial(row_checks.page_from, first=state.number, limit=1))
            if not found:
                return True
            (row,) = found
            number, generation = row[11], row[2]
            first = state.block if (number, generation) == (state.number, state.generation) else 0
            state.number, state.generation = number, generation
            self._pace(_LEAST_SIZE)
            for verified in examine(self._engine, row, deep=True, first=first, fleeting=True):
                if verified.problem is not None:
                    self._tell(state, verified.problem)
                state.block = verified.block + 1
                state.size += verified.size
                self._pace(verified.size)
                if self._ended.is_set():
                    return False
            state.number, state.generation, state.block = number + 1, 0, 0
            state.objects += 1
            if time.monotonic() - self._kept_at > _KEEP_SECONDS:
                self._keep(state)

    def _pace(self, size: int) -> None:
        """Waits as long as reading so much may take; time that was lost is not made up for."""
        self._due = max(self._due, time.monotonic() - 1.0) + size / self._rate
        delay = self._due - time.monotonic()
        if delay > _LEAST_WAIT:
            self._ended.wait(delay)

    def _tell(self, state: _State, problem: Problem) -> None:
        if problem in state.problems:
            return
        _log.error("scrub found a problem", extra={**asdict(problem), "kind": problem.kind.value})
        if len(state.problems) < _MAX_PROBLEMS:
            state.problems.append(problem)

    def _keep(self, state: _State) -> None:
        try:
            self._engine.writer.submit(lambda tx: _save(tx.connection, state)).result()
            self._kept_at = time.monotonic()
        except VaultError as error:  # a full disk: what was read is read again after a restart
            _log.warning("could not keep how far the scrub is: %s", error)


def _new_pass(state: _State, now: int) -> _State:
    """A new pass, from the beginning."""
    start = _State()
    return replace(state, number=start.number, generation=0, block=0, began_at=now, objects=0, size=0, problems=[])


def _end_pass(state: _State, now: int) -> None:
    state.last_began_at, state.last_ended_at = state.began_at, now
    state.last_objects, state.last_size, state.last_problems = state.objects, state.size, state.problems
    state.began_at = state.objects = state.size = 0
    state.problems = []


def _load(connection: sqlite3.Connection) -> _State:
    row = connection.execute("SELECT * FROM scrub").fetchone()
    if row is None:
        return _State()
    state = _State(*row)
    state.problems = _unpack(row[6])
    state.last_problems = _unpack(row[11])
    return state


def _save(connection: sqlite3.Connection, state: _State) -> None:
    connection.execute("DELETE FROM scrub")
    connection.execute(
        "INSERT INTO scrub VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state.number,
            state.generation,
            state.block,
            state.began_at,
            state.objects,
            state.size,
            _pack(state.problems),
            state.last_began_at,
            state.last_ended_at,
            state.last_objects,
            state.last_size,
            _pack(state.last_problems),
        ),
    )


def _pack(problems: Sequence[Problem]) -> str:
    return json.dumps([[p.kind.value, p.detail, p.unit, p.data_id, p.block] for p in problems])


def _unpack(packed: str) -> list[Problem]:
    problems: list[list[Any]] = json.loads(packed)
    return [Problem(ProblemKind(kind), detail, unit, data_id, block) for kind, detail, unit, data_id, block in problems]
