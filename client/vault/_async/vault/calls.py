"""AsyncCalls: everything that is asked of a vault about one unit or another."""

from vault._async.vault.computing import AsyncComputing
from vault._async.vault.copying import AsyncCopying
from vault._async.vault.describing import AsyncDescribing
from vault._async.vault.holdings import AsyncHoldings
from vault._async.vault.putting import AsyncPutting


class AsyncCalls(AsyncComputing, AsyncPutting, AsyncCopying, AsyncDescribing, AsyncHoldings):
    """The calls whose first argument is a unit; an AsyncUnit has each of them, too, without that argument."""
