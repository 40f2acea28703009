"""The entry point `file` of the group `vault.stores`: a location becomes an embedded store."""

from typing import Any, Final

from vault.errors import InvalidArgumentError

from vault_server.storage.embedded.async_store import AsyncEmbeddedStore
from vault_server.storage.embedded.store import EmbeddedStore

_OPTIONS: Final = (
    "allow_network_filesystem",
    "allowed_units",
    "durability",
    "feed_history",
    "group_access",
    "inline_limit",
    "resume_window",
    "retention",
)


class FileOpener:
    """Opens a directory. Options are EmbeddedStore's."""

    def open(self, location: str, **options: Any) -> EmbeddedStore:
        _check(options)
        return EmbeddedStore(location, **options)

    def open_async(self, location: str, **options: Any) -> AsyncEmbeddedStore:
        _check(options)
        return AsyncEmbeddedStore(location, **options)


def _check(options: dict[str, Any]) -> None:
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InvalidArgumentError(
            f"a directory takes no option {unknown[0]!r}; it takes {', '.join(_OPTIONS)}", reason="BAD_SETTING"
        )


opener: Final = FileOpener()
