"""An embedded vault and a remote one that are asked the same things, and the stores under them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from vault import BytesWrapper, JsonWrapper, RemoteVault, TextWrapper, Vault
from vault.errors import VaultError
from vault.testing.congruence import assert_congruent
from vault.testing.store.objects import assert_failed_with
from vault_server import EmbeddedStore, Server, StoreOptions

Call = Callable[[Vault], Any]

STRUCTURE = {
    "texts": (TextWrapper, 10),
    "json": (JsonWrapper, 0),
    "bytes": (BytesWrapper, 0),
    "empty": (TextWrapper, 0),
    "full": (BytesWrapper, 0),
}


class Pair(NamedTuple):
    """An embedded vault and a remote one that have been asked the same things, and the stores under them."""

    embedded: Vault
    remote: Vault
    stores: tuple[EmbeddedStore, EmbeddedStore]

    def ask(self, call: Call) -> Any:
        return assert_congruent(call, self.embedded, self.remote)

    def do(self, call: Callable[[EmbeddedStore], Any]) -> None:
        """Does something to both stores, behind the vaults' back."""
        for store in self.stores:
            call(store)

    def assert_refused(self, call: Call, kind: type[VaultError], reason: str, *words: str) -> VaultError:
        """Asserts that both refuse the call in the same words, and that it changed nothing in either store."""
        before = [everything(store) for store in self.stores]
        error = self.ask(call)
        assert_failed_with(error, kind, reason, *words)
        assert [everything(store) for store in self.stores] == before
        return cast(VaultError, error)


def everything(store: EmbeddedStore) -> tuple[int, dict[str, Any]]:
    """The store's revision and every object in it."""
    units = store.list_units()
    return store.revision, {unit: store.list_page(unit, page_size=1000).objects for unit in units}


@contextmanager
def asked_twice(folder: Path) -> Iterator[Pair]:
    """A pair over directories below `folder`, which are sound afterwards; there is object 5 in the unit texts."""
    with (
        EmbeddedStore(folder / "embedded", StoreOptions(durability="relaxed")) as store,
        EmbeddedStore(folder / "served", StoreOptions(durability="relaxed")) as served,
        Server(served, listen="127.0.0.1:0") as server,
        Vault(store, STRUCTURE) as embedded,
        RemoteVault(server.address, STRUCTURE) as remote,
    ):
        pair = Pair(embedded, remote, (store, served))
        pair.ask(lambda vault: vault.upload("texts", TextWrapper("text"), name="name", data_id=5))
        yield pair
        for each in (store, served):
            assert each.check(deep=True).ok


def shown(value: object) -> str:
    return repr(value)[:40]
