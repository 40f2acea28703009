"""System calls that fail once a COMMIT is durable: the write is acknowledged, and the store goes on."""

import errno
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from vault.errors import VaultError
from vault.store.specs import DeleteSpec, MetadataSpec, SmallUpdate, UpdateSpec
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore, failpoints
from vault_server.storage.failpoints import Point

from tests.storage.objects import LARGE, SMALL, UNIT, read, small, succeeded, update, upload

CALLS: Final = ("close", "fstat", "ftruncate", "open", "posix_fallocate", "pwrite", "stat", "statvfs", "unlink")

WRITES: dict[str, Callable[[EmbeddedStore], object]] = {
    "a small upload": lambda store: upload(store, SMALL, data_id=7),
    "a large upload": lambda store: upload(store, LARGE, data_id=7),
    "an update": lambda store: update(store, 2, SMALL),
    "a batch of updates": lambda store: succeeded(
        store.update_many(UNIT, [SmallUpdate(UpdateSpec(1), b"new", checksum(b"new"))])[0]
    ),
    "a batch of uploads": lambda store: succeeded(store.upload_many(UNIT, [small(LARGE[:200_000], data_id=7)])[0]),
    "a change of metadata": lambda store: store.set_metadata(UNIT, MetadataSpec(1, name="other")),
    "a deletion": lambda store: store.delete_many(UNIT, [DeleteSpec(2)])[0],
}


class Failing:
    """Lets system calls fail that the writer makes after its COMMIT: the one at `position`, or each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.position: int | None = None
        self.failed: list[str] = []
        self._writer: int | None = None
        self._count = 0
        monkeypatch.setattr(failpoints, "_call", self._reached)
        for name in CALLS:
            monkeypatch.setattr(os, name, partial(self._call, name, getattr(os, name)))

    def begin(self, position: int | None) -> None:
        self.position, self.failed, self._count = position, [], 0

    def _reached(self, point: Point) -> None:
        if point == "committed":
            self._writer = threading.get_ident()
        elif point == "before the answer":
            self._writer = None

    def _call(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self._writer != threading.get_ident():
            return function(*args, **options)
        self._count += 1
        if self.position not in (None, self._count):
            return function(*args, **options)
        self.failed.append(name)
        if name == "close":
            function(*args)  # Linux closes the descriptor whatever it reports
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("write", WRITES)
def test_a_system_call_that_fails_after_a_commit_does_not_refuse_the_write(
    directory: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    failing = Failing(monkeypatch)
    positions: list[int | None] = [None, 1]
    seen = set()
    for position in positions:
        root = directory / str(position)
        root.parent.mkdir(exist_ok=True)
        failing.begin(0)
        with EmbeddedStore(root) as store:
            upload(store, SMALL, data_id=1)
            upload(store, LARGE, data_id=2)
        (root / "register.db-reserve").unlink()  # so that it is made anew
        with EmbeddedStore(root) as store:
            revision = store.revision
            failing.begin(position)
            outcome = WRITES[write](store)
            failed = failing.failed
            seen.update(failed)
            failing.begin(0)
            assert not isinstance(outcome, VaultError), (position, failed)
            assert store.revision == revision + 1, (position, failed)
            with EmbeddedStore(root) as second:  # whose turn it is next
                assert read(second, upload(second, LARGE).data_id) == LARGE
            upload(store, SMALL)
            report = store.check(deep=True)
            assert report.ok, (position, report.problems)
        if position is not None and failed:
            positions.append(position + 1)
    assert len(positions) > 3
    assert {"stat", "fstat", "open", "close", "pwrite", "posix_fallocate"} <= seen
