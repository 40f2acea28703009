"""Wrappers for other libraries' types: what a unit holds is the wrapper, what you want is its `.data`.

    from vault import Vault
    from vault_datatypes import PandasWrapper

    with Vault("./data", {"prices": (PandasWrapper, 10)}) as vault:
        vault.upload("prices", PandasWrapper(frame), name="2026-01")

Each library is an optional extra (`pip install 'vault-grpc[pandas]'`) and is imported with the first use
of its wrapper; where it is missing, that use raises a ModuleNotFoundError which says what to install.
"""

from importlib import import_module
from typing import TYPE_CHECKING

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

_MODULES = {
    "ArrowWrapper": "pyarrow",
    "ImageWrapper": "pillow",
    "MsgspecWrapper": "msgspec",
    "NumpyWrapper": "numpy",
    "PandasFeatherWrapper": "pandas",
    "PandasSnappyWrapper": "pandas",
    "PandasWrapper": "pandas",
    "PolarsWrapper": "polars",
    "PydanticWrapper": "pydantic",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
