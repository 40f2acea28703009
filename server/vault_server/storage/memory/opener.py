"""The entry point `memory` of the group `vault.stores`: `memory://` becomes a new store in memory."""

from typing import Any, Final

from vault.errors import InvalidArgumentError

from vault_server.storage.memory._async.store import AsyncMemoryStore
from vault_server.storage.memory._sync.store import MemoryStore

_OPTIONS: Final = ("allowed_units", "feed_history", "resume_window", "retention")


class MemoryOpener:
    """Makes a store. Options are MemoryStore's."""

    def open(self, location: str, **options: Any) -> MemoryStore:
        _check(location, options)
        return MemoryStore(**options)

    def open_async(self, location: str, **options: Any) -> AsyncMemoryStore:
        _check(location, options)
        return AsyncMemoryStore(**options)


def _check(location: str, options: dict[str, Any]) -> None:
    if location:
        raise InvalidArgumentError(
            f"bad location 'memory://{location}': memory:// has no name behind it, each is a store of its own",
            reason="BAD_LOCATION",
        )
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InvalidArgumentError(
            f"a store in memory takes no option {unknown[0]!r}; it takes {', '.join(_OPTIONS)}", reason="BAD_SETTING"
        )


opener: Final = MemoryOpener()
