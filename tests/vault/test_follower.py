"""The thread that follows the feed of a server: as long as its vault, and not believed when it falls silent."""

import socket
import threading
import time
from contextlib import closing, suppress

import pytest
from vault import ConnectionSettings, RemoteVault, UnavailableError
from vault._sync.feed import coherence

from tests.vault.places import STRUCTURE, Note, Place, following, text_of
from tests.waiting import assert_soon


def watching() -> bool:
    """Whether any vault of this process follows a change feed in the background."""
    return any(thread.name == "vault-watch" for thread in threading.enumerate())


def test_the_watcher_starts_with_the_first_load_and_ends_with_the_vault(remote: Place) -> None:
    with RemoteVault(remote.server.address, STRUCTURE) as vault:
        data_id = vault.upload("notes", Note("one"))
        assert not watching()
        text_of(vault, data_id)
        following(vault)
        assert watching()
    assert not watching()


def test_the_watcher_ends_while_the_server_is_away(remote: Place) -> None:
    vault = RemoteVault(remote.server.address, STRUCTURE, connection=ConnectionSettings(timeout=30))
    data_id = vault.upload("notes", Note("one"))
    text_of(vault, data_id)
    following(vault)
    remote.server.stop(grace=0)
    assert_soon(lambda: not vault._coherence.epoch())
    time.sleep(0.3)
    begun = time.monotonic()
    vault.close()
    assert time.monotonic() - begun < 5
    assert not watching()


def test_the_watcher_of_a_vault_that_was_dropped_ends(remote: Place) -> None:
    vault = RemoteVault(remote.server.address, STRUCTURE)
    data_id = vault.upload("notes", Note("one"))
    text_of(vault, data_id)
    following(vault)
    del vault
    assert_soon(lambda: not watching())  # at the next sign of life of the server


class Cable:
    """A TCP connection between a client and a server that can fall silent, as a cut network does."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.cut = threading.Event()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(self._server)
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):  # one of the two was closed
            while data := one.recv(65536):
                if not self.cut.is_set():  # else it is lost, and nobody is told
                    other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()
        for one in self._sockets:
            one.close()


def test_a_network_that_falls_silent_is_not_believed_for_long(remote: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coherence, "WATCH_LEASE", 3.0)
    with closing(Cable(remote.server.address)) as cable:
        vault = RemoteVault(cable.address, STRUCTURE, connection=ConnectionSettings(timeout=1))
        with vault:
            data_id = vault.upload("notes", Note("one"))
            text_of(vault, data_id)
            following(vault)
            text_of(vault, data_id)
            cable.cut.set()
            remote.open().update("notes", data_id, Note("two"))
            assert text_of(vault, data_id) == "one"  # it cannot know yet
            assert_soon(lambda: not vault._coherence.epoch(), seconds=6)
            with pytest.raises(UnavailableError):
                vault.load("notes", data_id)
