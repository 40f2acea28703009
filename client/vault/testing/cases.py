"""Tests that try many values in one, where what surrounds a test costs more than the test."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Awaitable[None]])


def each(names: str | tuple[str, ...], values: Iterable[Any] | Mapping[str, Any]) -> Callable[[T], T]:
    """Has a test tried with each of the values in turn, each in a unit of its own. Its error says with which.

    As `pytest.mark.parametrize`, but one test: it ends at the first value that fails.

    Args:
        names: Parameters of the test, which also has one called `unit`.
        values: For one name its values, for several tuples; a mapping from what to call them in an error.
    """
    parameters = (names,) if isinstance(names, str) else names
    named = values.items() if isinstance(values, Mapping) else [(f"{value!r:.200}", value) for value in values]
    cases = [
        (name, dict(zip(parameters, [value] if isinstance(names, str) else value, strict=True)))
        for name, value in named
    ]

    def decorate(test: T) -> T:
        signature = inspect.signature(test)

        @functools.wraps(test)
        async def tried(*args: Any, **fixtures: Any) -> None:
            given = signature.bind_partial(*args, **fixtures).arguments
            for number, (name, case) in enumerate(cases):
                try:
                    await test(**{**given, **case, "unit": f"{given['unit']}-{number}"})
                except BaseException as error:
                    error.add_note(f"with {', '.join(parameters)} = {name}")
                    raise

        left = [parameter for name, parameter in signature.parameters.items() if name not in parameters]
        tried.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]  # pytest asks for it
        return tried  # type: ignore[return-value]  # with fewer parameters

    return decorate
