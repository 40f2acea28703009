"""How long a cache believes a stream that says nothing, and what it believes of one that speaks again."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from vault import Vault
from vault._sync.feed import coherence
from vault._sync.remote.store import RemoteStore
from vault.store.contract import Watch
from vault.store.values import Change, Progress

from tests.vault.places import STRUCTURE, Note, Place, following, text_of
from tests.waiting import assert_soon

LEASE = 1.0


class Gated(RemoteStore):
    """A store whose events wait until they are let through, one by one, when `gate` is closed."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.gate = threading.Event()
        self.gate.set()
        self.let_through = threading.Semaphore(0)

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        return GatedWatch(super().watch(units, since=since), self)


class GatedWatch(Watch):
    def __init__(self, watch: Watch, store: Gated) -> None:
        self._watch = watch
        self._store = store
        self._closed = False

    def __iter__(self) -> Iterator[Change | Progress]:
        for event in self._watch:
            while not self._store.gate.is_set() and not self._store.let_through.acquire(timeout=0.02):
                if self._closed:
                    return
            yield event

    def close(self) -> None:
        self._closed = True
        self._watch.close()


@pytest.fixture
def gated(remote: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Vault, Gated]]:
    monkeypatch.setattr(coherence, "WATCH_LEASE", LEASE)
    with Gated(remote.server.address) as store, Vault(store, STRUCTURE) as vault:
        yield vault, store


def test_what_comes_after_a_silence_does_not_bring_back_what_was_current(
    gated: tuple[Vault, Gated], remote: Place
) -> None:
    """As when a process is stopped for an hour: what it finds in its buffers is an hour old."""
    vault, store = gated
    data_id = vault.upload("notes", Note("old"), name="a")
    assert_soon(lambda: text_of(vault, data_id) and vault._coherence.epoch())
    assert text_of(vault, data_id) == text_of(vault, "a") == "old"
    store.gate.clear()
    remote.open().update("notes", data_id, Note("new"))
    assert_soon(lambda: not vault._coherence.epoch())  # the lease is over
    heard = vault._coherence._heard_at  # type: ignore[attr-defined]
    store.let_through.release()  # a sign of life from long ago, and the change is still behind it
    assert_soon(lambda: vault._coherence._heard_at != heard)  # type: ignore[attr-defined]
    assert text_of(vault, "a") == text_of(vault, data_id) == "new"
    store.gate.set()
    following(vault)
    assert text_of(vault, data_id) == "new"


def test_within_the_lease_a_pause_costs_nothing(gated: tuple[Vault, Gated], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coherence, "WATCH_LEASE", 60.0)
    vault, store = gated
    data_id = vault.upload("notes", Note("kept"))
    assert_soon(lambda: text_of(vault, data_id) and vault._coherence.epoch())
    epoch = vault._coherence.epoch()
    store.gate.clear()
    time.sleep(1)
    store.gate.set()
    time.sleep(1)
    assert vault._coherence.epoch() == epoch
