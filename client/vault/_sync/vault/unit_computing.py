# Generated from _async/vault/unit_computing.py by scripts/unasync: DO NOT CHANGE.
"""Computing a unit's objects, typed. See `vault._async.vault.computing`, whose calls these are."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar

from vault._sync.objects.computing import wrapped
from vault._sync.vault.computing import Memoized
from vault._sync.vault.unit_base import UnitBase
from vault._runtime.sync_async import Returned

P = ParamSpec("P")
T = TypeVar("T")


class UnitComputing(UnitBase[T]):
    """The calls that compute."""

    __slots__ = ()

    def get_or_compute(
        self,
        name: str,
        function: Callable[[], Returned[T]] | Callable[[], T],
        *,
        expires_in: float | None = None,
        refresh_ahead: float | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> T:
        """The object of this name; where there is none, what the function returns, stored under the name. One computes
        at a time, among all threads, tasks, processes and machines that use the store.

        Raises:
            UnavailableError, InvalidArgumentError, UnsupportedError, StorageFullError: See the vault's.

        Example:
            >>> vault.unit("scores", dict[str, int]).get_or_compute("today", lambda: {"ada": 3})
            {'ada': 3}
        """
        value = self._vault.get_or_compute(
            self.name,
            name,
            wrapped(function, self._plain),
            expires_in=expires_in,
            refresh_ahead=refresh_ahead,
            tags=tags,
            timeout=timeout,
        )
        return self._shown(value)

    def memoize(
        self,
        *,
        expires_in: float | None = None,
        refresh_ahead: float | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | None = None,
        name: str | None = None,
        version: int | str = 1,
        key: Callable[..., object] | None = None,
        ignore: Collection[str] = (),
    ) -> Callable[[Callable[P, Returned[T]] | Callable[P, T]], Memoized[P, T]]:
        """Decorates a function that returns objects of the unit: what it returned for the same arguments is loaded.

        Raises:
            InvalidArgumentError: See the vault's.

        Example:
            >>> scores = vault.unit("scores", dict[str, int])
            >>> @scores.memoize(expires_in=3600)
            ... def score(player: str) -> dict[str, int]:
            ...     return {player: 3}
            >>> score("ada")
            {'ada': 3}
        """
        decorate: Any = self._vault.memoize(  # whose annotation takes coroutine functions alone
            self.name,
            expires_in=expires_in,
            refresh_ahead=refresh_ahead,
            tags=tags,
            timeout=timeout,
            name=name,
            version=version,
            key=key,
            ignore=ignore,
        )
        return lambda function: decorate(function)._of(self._plain)  # noqa: SLF001  # of this package
