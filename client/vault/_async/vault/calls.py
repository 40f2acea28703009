"""AsyncCalls: everything that is asked of a vault about one unit or another."""

from vault._async.vault.computing import AsyncComputing
from vault._async.vault.putting import AsyncPutting


class AsyncCalls(AsyncComputing, AsyncPutting):
    """The calls whose first argument is a unit; an AsyncUnit has each of them, too, without that argument."""
