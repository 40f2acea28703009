"""Importing the package imports no other library; a missing one says what to install; examples run."""

import doctest
import subprocess
import sys
from importlib import import_module

import pytest
import vault_datatypes

LIBRARIES = {
    "numpy": ("numpy", ["NumpyWrapper"]),
    "pandas": ("pandas", ["PandasWrapper", "PandasSnappyWrapper", "PandasFeatherWrapper"]),
    "pillow": ("PIL", ["ImageWrapper"]),
    "polars": ("polars", ["PolarsWrapper"]),
    "pyarrow": ("pyarrow", ["ArrowWrapper"]),
    "pydantic": ("pydantic", ["PydanticWrapper"]),
    "msgspec": ("msgspec", ["MsgspecWrapper"]),
}

BLOCKED = """
import sys
sys.modules[{library!r}] = None  # importing it now raises ModuleNotFoundError
import vault_datatypes
for use in (lambda: vault_datatypes.{name}, lambda: __import__("vault_datatypes.{extra}")):
    try:
        use()
    except ModuleNotFoundError as error:
        print(error)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_none_of_the_libraries() -> None:
    libraries = [library for library, _ in LIBRARIES.values()]
    found = f"[name for name in {[*libraries, 'grpc']!r} if name in sys.modules]"
    assert run(f"import sys, vault_datatypes; dir(vault_datatypes); print({found})").strip() == "[]"


@pytest.mark.parametrize("extra", LIBRARIES)
def test_a_missing_library_says_what_to_install(extra: str) -> None:
    library, names = LIBRARIES[extra]
    lines = run(BLOCKED.format(library=library, name=names[0], extra=extra)).splitlines()
    assert lines == [f"{library} is not installed; for vault_datatypes.{extra}: pip install 'vault-grpc[{extra}]'"] * 2


def test_pandas_without_pyarrow_says_so_too() -> None:
    lines = run(BLOCKED.format(library="pyarrow", name="PandasWrapper", extra="pandas")).splitlines()
    assert lines == ["pyarrow is not installed; for vault_datatypes.pandas: pip install 'vault-grpc[pandas]'"] * 2


def test_every_public_name_is_there_and_listed() -> None:
    names = [name for _, names in LIBRARIES.values() for name in names]
    assert sorted(vault_datatypes.__all__) == sorted(names)
    assert set(names) <= set(dir(vault_datatypes))
    for name in names:
        assert getattr(vault_datatypes, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'NoWrapper'"):
        _ = vault_datatypes.NoWrapper


@pytest.mark.parametrize("extra", LIBRARIES)
def test_the_examples_in_the_docstrings_run(extra: str) -> None:
    result = doctest.testmod(import_module(f"vault_datatypes.{extra}"))
    assert result.attempted > 0
    assert result.failed == 0
