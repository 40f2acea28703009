"""Modules that are imported when they are first used, and the public names of a package, likewise."""

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType


class LazyModule:
    """A module of the standard library that most programs do without: `import` in the place of it costs milliseconds.

    if TYPE_CHECKING:
        import asyncio
    else:
        asyncio = LazyModule("asyncio")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> object:
        value: object = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


def public_names(public: Mapping[str, str]) -> Iterator[str]:
    """`__all__` of a package with such names."""
    return (name for name in sorted(" ".join(public.values()).split()) if not name.startswith("__"))


def lazy_names(
    package: str, public: Mapping[str, str], *, needs: str | None = None
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`.

    Args:
        package: Its name.
        public: From a module in the package to its public names, with spaces between them.
        needs: The extra whose libraries those modules import; where one is missing, the error says what to install.
    """
    homes = {name: f"{package}.{module}" for module, names in public.items() for name in names.split()}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value: object = getattr(_imported(homes[name], f"{package}.{name}", needs), name)
        except AttributeError as error:
            # As it is, `from package import name` would take it for a name that the package does not have.
            raise ImportError(f"{homes[name]}, where {name} lives, is broken: {error}", name=homes[name]) from error
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*homes, *(name for name in vars(sys.modules[package]) if name.startswith("__"))})

    return get, names


def _imported(module: str, name: str, needs: str | None) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError:
        if needs is None:
            raise
    from vault._runtime.extras import extra  # noqa: PLC0415  # seldom

    with extra(needs, name):
        return import_module(module)
