"""A server in front of a server: what it passes on is as true as what it gets."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice

import pytest
from vault import ConnectionSettings, RemoteVault, Vault
from vault._sync.remote.store import RemoteStore
from vault_server import EmbeddedStore, Server

from tests.vault.places import STRUCTURE, Note, following, text_of
from tests.waiting import assert_soon


class Chain:
    """A store, its server, and an edge server in front of that."""

    def __init__(self, stack: ExitStack, store: EmbeddedStore) -> None:
        self._stack = stack
        self._store = store
        self.origin = stack.enter_context(Server(store))
        self.upstream = stack.enter_context(RemoteStore(self.origin.address, ConnectionSettings(timeout=5)))
        self.edge = stack.enter_context(Server(self.upstream))

    def vault(self, server: Server, consistency: str = "watch") -> Vault:
        return self._stack.enter_context(
            RemoteVault(server.address, STRUCTURE, consistency=consistency, connection=ConnectionSettings(timeout=20))
        )

    def restart_origin(self) -> None:
        address = self.origin.address
        self.origin.stop(grace=0)
        self.origin = self._stack.enter_context(Server(self._store, listen=address))


@pytest.fixture
def chain(store: EmbeddedStore) -> Iterator[Chain]:
    with ExitStack() as stack:
        yield Chain(stack, store)


def test_strict_shows_what_was_acknowledged_on_either_side(chain: Chain) -> None:
    near, far = chain.vault(chain.edge, "strict"), chain.vault(chain.origin, "strict")
    data_id = near.upload("notes", Note("0"), name="a")
    for step in range(1, 20):
        writer, reader = (near, far) if step % 2 else (far, near)
        writer.update("notes", data_id, Note(str(step)))
        assert text_of(reader, "a") == text_of(writer, data_id) == str(step)


def test_changes_pass_through_and_survive_restarts_behind_it(chain: Chain) -> None:
    near, far = chain.vault(chain.edge), chain.vault(chain.origin)
    changes = near.watch("notes")
    data_id = far.upload("notes", Note("0"))
    assert_soon(lambda: text_of(near, data_id) == "0")
    following(near)
    for step in range(1, 4):
        far.update("notes", data_id, Note(str(step)))
        assert_soon(lambda: text_of(near, data_id) == str(step))  # noqa: B023  # called in the loop
        near.update("notes", data_id, Note(f"{step}!"))
        assert text_of(near, data_id) == f"{step}!"
        chain.restart_origin()
    revisions = [change.revision for change in islice(changes, 7)]
    assert revisions == list(range(revisions[0], revisions[0] + 7))
