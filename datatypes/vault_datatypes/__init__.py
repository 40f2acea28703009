"""Wrappers for other libraries' types: what is stored and cached is the wrapper, what you want is its `.data`.

A unit that is declared with the type itself takes and gives that:

    with Vault("./data") as vault:
        prices = vault.unit("prices", pandas.DataFrame, max_cached=10)
        prices.put("2026-01", frame)

The vault's own calls, and a unit that is declared with a wrapper, as for another format, take and give the wrapper:

        vault.unit("ticks", PandasFeatherWrapper).put("2026-01", PandasFeatherWrapper(frame))

What is given comes back, or is refused with an EncodeError that says what to do. To know, most of them decode and
compare what they have encoded; `class Mine(PandasWrapper, verify=False)` leaves that out. What would take more than
512 MiB when it is decoded, and more than 16 times what is stored, is refused on both ways;
`class Mine(PandasWrapper, max_decoded=4 << 30)` takes more. docs/DATATYPES.md has what is refused, and what that costs.

Each library is optional (`pip install '.[pandas]'` in a checkout) and is imported with the first use of its
wrapper; where it is missing, that use raises a ModuleNotFoundError which says what to install, and `dir` and
`help` leave the wrapper out.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from vault._runtime.lazy import lazy_names

if TYPE_CHECKING:
    from vault_datatypes.msgspec import MsgspecWrapper
    from vault_datatypes.numpy import NumpyWrapper
    from vault_datatypes.pandas import PandasFeatherWrapper, PandasSnappyWrapper, PandasWrapper
    from vault_datatypes.pillow import ImageWrapper
    from vault_datatypes.polars import PolarsWrapper
    from vault_datatypes.pyarrow import ArrowWrapper
    from vault_datatypes.pydantic import PydanticWrapper

__all__ = [  # noqa: RUF022  # grouped by what they hold
    # tables
    "ArrowWrapper",
    "PandasFeatherWrapper",
    "PandasSnappyWrapper",
    "PandasWrapper",
    "PolarsWrapper",
    # arrays and images
    "ImageWrapper",
    "NumpyWrapper",
    # models
    "MsgspecWrapper",
    "PydanticWrapper",
]

_HOMES = {
    "msgspec": "MsgspecWrapper",
    "numpy": "NumpyWrapper",
    "pandas": "PandasFeatherWrapper PandasSnappyWrapper PandasWrapper",
    "pillow": "ImageWrapper",
    "polars": "PolarsWrapper",
    "pyarrow": "ArrowWrapper",
    "pydantic": "PydanticWrapper",
}

_LIBRARIES = {"pandas": ("pandas", "pyarrow"), "pillow": ("PIL",)}
"""What a module imports, where that is not the library of its name alone."""

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    __getattr__, _names = lazy_names(__name__, _HOMES)

    def __dir__() -> list[str]:
        missing = {name for module, names in _HOMES.items() if not _is_installed(module) for name in names.split()}
        return [name for name in _names() if name not in missing]

    def _is_installed(module: str) -> bool:
        return all(find_spec(library) is not None for library in _LIBRARIES.get(module, (module,)))
