"""The register and the feed in it, as `generic` reads an index."""

from collections.abc import Sequence

from vault.store.columns import LoadItems
from vault.store.listing import Listing
from vault.store.specs import LoadItem
from vault.store.usage import PrincipalInfo, UnitInfo
from vault.store.values import Change, Key, LoadedObject, LoadResult, ObjectInfo

from vault_server.storage.decision.listing import Listed, Span
from vault_server.storage.decision.plan import Facts, Retention
from vault_server.storage.decision.stored import Stored
from vault_server.storage.decision.writes import Asked
from vault_server.storage.feed.feed import Feed
from vault_server.storage.index.connections import Connections, RegisterConnection
from vault_server.storage.index.facts import facts_of, is_known
from vault_server.storage.index.listing import list_units, page
from vault_server.storage.index.object_batches import (
    find_generations,
    find_infos,
    load_all,
)
from vault_server.storage.index.objects import find_stored, load_one
from vault_server.storage.index.principals import principal_infos, principal_page
from vault_server.storage.index.retirement import find_retired
from vault_server.storage.index.units import find_units, unit_page


class Register:
    """See `generic`'s Index. Safe to share between threads."""

    def __init__(self, connections: Connections, feed: Feed) -> None:
        self.store_id = ""
        self.feed = feed
        self._connections = connections

    def identity(self) -> str:
        return self.store_id

    def facts(self, asked: Asked) -> Facts:
        one_upload = len(asked.requests) == len(asked.new_ids) == 1
        if one_upload and not self._connections.read(is_known, asked, alone=True):
            return Facts()
        return self._connections.read(facts_of, asked, Retention())

    def generations(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return self._connections.read(find_generations, unit, keys, alone=len(keys) == 1)

    def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return self._connections.read(find_infos, unit, keys, alone=len(keys) == 1)

    def load_small(self, unit: str, items: Sequence[LoadItem], room: int) -> Sequence[LoadResult | Stored]:
        if len(items) == 1:
            return [self._connections.read(load_one, unit, items[0], room, alone=True)]
        return self._connections.read(_small, unit, items, room)

    def stored(self, unit: str, key: Key) -> Stored | None:
        return self._connections.read(find_stored, unit, key, alone=True)

    def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        return self._connections.read(find_retired, unit, data_id, generation, alone=True)

    def page(self, listing: Listing, span: Span, limit: int) -> Listed:
        return self._connections.read(page, listing, span, limit)

    def units(self) -> list[str]:
        return self._connections.read(list_units)

    def unit_infos(self, units: Sequence[str]) -> list[UnitInfo]:
        return self._connections.read(find_units, units)

    def unit_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[UnitInfo], str | None]:
        return self._connections.read(unit_page, prefix, after, limit)

    def principal_infos(self, principals: Sequence[str]) -> list[PrincipalInfo]:
        return self._connections.read(principal_infos, principals)

    def principal_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[PrincipalInfo], str | None]:
        return self._connections.read(principal_page, prefix, after, limit)

    def changes(self, since: int, limit: int | None = None, units: Sequence[str] = ()) -> tuple[int, Sequence[Change]]:
        if limit is None:
            return self.feed.changes(since)
        self.feed.refresh()
        return self.feed.page(since, units)

    def revision(self) -> int:
        return self.feed.refresh()


def _small(
    connection: RegisterConnection, unit: str, items: Sequence[LoadItem], room: int
) -> Sequence[LoadResult | Stored]:
    batch = LoadItems.of(items)
    loaded = load_all(connection, unit, batch.keys, room) if items and batch.are_plain else None
    if loaded is not None:
        return loaded
    outcomes: list[LoadResult | Stored] = []
    for item in items:
        outcome = load_one(connection, unit, item, room)
        if isinstance(outcome, Stored) or (isinstance(outcome, LoadedObject) and outcome.data is not None):
            room -= outcome.info.size
        outcomes.append(outcome)
    return outcomes
