"""Values that are computed where they are not there."""

import functools
import math
import types
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, Self, TypeVar

from vault._async.objects.computing import AsyncWanted, wrapped
from vault._async.vault.reading import AsyncReading
from vault._async.vault.writing import AsyncWriting
from vault._runtime.sync_async import AsyncReturned
from vault.errors import InvalidArgumentError
from vault.plain import Plain
from vault.store.limits import check_expires_in, check_name, check_new, check_seconds, check_tags, shown

if TYPE_CHECKING:
    from vault._call_names import CallNames

P = ParamSpec("P")
T = TypeVar("T")


class ComputingOptions(NamedTuple):
    """How a value is computed; see `AsyncComputing.get_or_compute`."""

    expires_in: float | None
    refresh_ahead: float | None
    tags: Mapping[str, str] | None
    timeout: float | None

    def validate(self) -> None:
        if self.expires_in is not None:
            check_expires_in(self.expires_in)
        if self.refresh_ahead is not None:
            check_seconds("refresh_ahead", self.refresh_ahead, reason="BAD_EXPIRY")
            if self.expires_in is not None and self.refresh_ahead >= self.expires_in:
                raise InvalidArgumentError(
                    f"refresh_ahead {self.refresh_ahead!r} is not below expires_in {self.expires_in!r}: every call "
                    "would compute",
                    reason="BAD_EXPIRY",
                )
        if self.tags is not None:
            check_tags(self.tags)
        if self.timeout is not None:
            check_seconds("timeout", self.timeout)


class AsyncMemoized(Generic[P, T]):
    """A function whose results are stored: what `memoize` makes of one.

        >>> @vault.unit("lengths", int).memoize()
        ... async def length(text: str) -> int:
        ...     return len(text)
        >>> await length("hello"), await length("hello")
        (5, 5)

    The examples of its methods have this function.

    Attributes:
        __wrapped__: The function.
    """

    __wrapped__: Callable[..., Any]

    def __init__(
        self,
        vault: "AsyncComputing",
        unit: str,
        function: Callable[P, AsyncReturned[T]],
        names: "CallNames",
        options: ComputingOptions,
    ) -> None:
        """Made by `memoize`."""
        self._vault = vault
        self._unit = unit
        self._function = function
        self._names = names
        self._options = options
        self._plain: Plain[Any] | None = None
        functools.update_wrapper(self, function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The stored result, or a computed one. Raises what the function does, and as `get_or_compute`."""
        return await self._value(self._names.of(*args, **kwargs), args, kwargs)

    def key_of(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The name under which the result for these arguments is stored.

        Raises:
            InvalidArgumentError: BAD_KEY, an argument makes no name.
            TypeError: The function does not take these arguments.

        Example:
            >>> length.key_of("hello").partition("#")[2]
            "1(text='hello')"
        """
        return self._names.of(*args, **kwargs)

    async def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Deletes the stored result for these arguments; whether there was one.

        Example:
            >>> await length.forget("hello"), await length.forget("hello")
            (True, False)
        """
        return await self._vault.delete(self._unit, self._names.of(*args, **kwargs))

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Computes the result anew, whatever is stored; the others get the old one meanwhile.

        Example:
            >>> await length.refresh("hello")
            5
        """
        return await self._value(self._names.of(*args, **kwargs), args, kwargs, anew=True)

    async def _value(self, name: str, args: Any, kwargs: Any, *, anew: bool = False) -> T:
        function = wrapped(partial(self._function, *args, **kwargs), self._plain)
        value: Any = await self._vault._value(self._unit, name, function, self._options, anew=anew)  # noqa: SLF001
        result: T = value if self._plain is None else self._plain.value(value)
        return result

    def _of(self, plain: Plain[Any] | None) -> Self:
        """It returns objects of this plain type."""
        self._plain = plain
        return self

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """As a function does it: a method of the instance."""
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._function!r} in unit {self._unit!r}>"


class AsyncComputing(AsyncReading, AsyncWriting):
    """The calls that compute. What they return is the caller's own, as what `get` returns is."""

    async def get_or_compute(
        self,
        unit: str,
        name: str,
        function: Callable[[], Any],
        *,
        expires_in: float | None = None,
        refresh_ahead: float | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The object of this name; where there is none, what the function returns, stored under the name.

        One computes at a time, among all threads, tasks, processes and machines that use the store: a lease on the
        name is held while the function runs. Who finds another one computing waits for what comes of that. When the
        function raises, its caller gets the error, nothing is stored, and of those who wait the next one computes. A
        lease is lost ten seconds after its holder died, or was stopped; of two who then compute, the first to store
        wins, and both return what it stored. A write by another call while the function runs wins, too; but what is
        deleted meanwhile, where nothing was stored before, is stored all the same.

        Args:
            name: A name is what it is stored under.
            function: Takes nothing and returns an object of the unit's Datatype. An asynchronous vault takes coroutine
                functions, too, and runs any other in a thread, which goes on when the task is cancelled, for nothing.
            expires_in: Seconds for which a computed object is stored; None: it does not expire.
            refresh_ahead: Seconds before the end of a stored object from which on one caller computes it anew, while
                the others get the old one. None: it is computed when it has expired, and who wants it waits.
            tags: Of a computed object.
            timeout: Seconds to wait for another's computation; None: as long as it takes. The own one has no limit.

        Raises:
            UnavailableError: TIMEOUT, another one computes for longer than `timeout`.
            InvalidArgumentError: BAD_OBJECT, the function returned no object of the unit's Datatype; BAD_FUNCTION, it
                asks for this very name, and would wait for itself; BAD_NAME, BAD_TAGS, BAD_EXPIRY, BAD_SETTING.
            UnsupportedError: The server is older, and has no leases.
            StorageFullError: There is no room for what was computed.

        Example:
            >>> await vault.get_or_compute("notes", "answer", lambda: TextWrapper("42"), expires_in=3600)
            TextWrapper('42')
            >>> await vault.get_or_compute("notes", "answer", lambda: TextWrapper("43"))
            TextWrapper('42')
        """
        if not callable(function):
            raise InvalidArgumentError(f"a function computes a value, not {shown(function)}", reason="BAD_FUNCTION")
        check_name(name)
        options = ComputingOptions(expires_in, refresh_ahead, tags, timeout)
        options.validate()
        return await self._value(unit, name, function, options)

    def memoize(
        self,
        unit: str,
        *,
        expires_in: float | None = None,
        refresh_ahead: float | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | None = None,
        name: str | None = None,
        version: int | str = 1,
        key: Callable[..., object] | None = None,
        ignore: Collection[str] = (),
    ) -> Callable[[Callable[P, AsyncReturned[T]]], AsyncMemoized[P, T]]:
        """Decorates a function that returns objects of the unit: what it returned for the same arguments is loaded,
        by `get_or_compute`.

        The name that a result is stored under is made of the function's module and qualified name, the version, and
        the arguments, with defaults filled in: numbers, text, bytes, None, dates, paths, enumerations, and tuples,
        lists, sets, dicts and dataclasses of such. Long ones are hashed. Of a method, `self` is an argument. A function
        that `functools.wraps` made to look like another has that one's name, and so its results: give it a `name`.

        Args:
            expires_in, refresh_ahead, tags, timeout: As for `get_or_compute`.
            name: In the place of the function's own: where several programs' `__main__`, lambdas, or functions within
                functions share a store.
            version: Another one finds nothing of what was computed before: change it with the function.
            key: Gets the arguments; what it returns stands for them.
            ignore: Parameters that make no difference.

        Returns:
            A decorator. What it makes is called as the function is, and has `key_of`, `forget` and `refresh`. Of an
            asynchronous vault it is awaited; functions that are not coroutine functions run in a thread then.

        Raises:
            InvalidArgumentError: BAD_FUNCTION, the function has no name of its own, takes values from one around it, or
                is bound to an object, and `name` is not given; and as for `get_or_compute`. Of a call: BAD_KEY, an
                argument makes no name.

        Example:
            >>> @vault.memoize("notes", expires_in=3600)
            ... async def shout(text: str, *, times: int = 1) -> TextWrapper:
            ...     return TextWrapper(text.upper() * times)
            >>> await shout("a", times=2)
            TextWrapper('AA')
            >>> shout.key_of("a").partition(".")[2]
            "shout#1(text='a',times=1)"
            >>> await shout.forget("a", times=2)
            True
        """
        self._require_unit(unit)
        options = ComputingOptions(expires_in, refresh_ahead, tags, timeout)
        options.validate()

        def decorate(function: Callable[P, AsyncReturned[T]]) -> AsyncMemoized[P, T]:
            from vault._call_names import CallNames  # noqa: PLC0415  # for those who memoize: it takes a while

            names = CallNames(function, name=name, version=version, key=key, ignore=ignore)
            return AsyncMemoized(self, unit, function, names, options)

        return decorate

    async def _value(
        self, unit: str, name: str, function: Callable[[], Any], options: ComputingOptions, *, anew: bool = False
    ) -> Any:
        """See `get_or_compute`; with `anew`, computed in any case."""
        self._require_unit(unit)
        ahead = math.inf if anew else options.refresh_ahead
        found = None if anew else await self._found(unit, name)
        if found is not None and not self._computations.is_due(found[0], ahead):
            return found[1]
        tags = options.tags or {}
        check_new(name=name, tags=tags)
        wanted = AsyncWanted(
            unit=unit,
            name=name,
            look=lambda: self._found(unit, name),
            function=function,
            tags=tags,
            expires_in=options.expires_in,
            refresh_ahead=ahead,
            timeout=options.timeout,
            old=None if found is None else (found[1],),
        )
        return await self._computations.value(wanted)
