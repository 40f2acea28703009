"""A Store in front of another, which forwards every call: what to derive from for a Store that does one thing more.

A method that the contract gets later is not forwarded: it raises UnsupportedError until a class says what it does
there, so that nothing passes by a Store that counts, checks or changes what goes through it. docs/STORE.md shows one.
"""

from vault.store._async.wrapper import AsyncWrapperStore
from vault.store._sync.wrapper import WrapperStore

__all__ = ["AsyncWrapperStore", "WrapperStore"]
