"""AsyncCalls: everything that is asked of a vault about one unit or another."""

from vault._async.vault.reading import AsyncReading
from vault._async.vault.writing import AsyncWriting


class AsyncCalls(AsyncReading, AsyncWriting):
    """The calls whose first argument is a unit; an AsyncUnit has each of them, too, without that argument."""
