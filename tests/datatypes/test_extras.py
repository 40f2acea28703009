"""Importing the package imports no other library; a missing one says what to install; examples run."""

import doctest
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import vault_datatypes
from packaging.requirements import Requirement
from vault._runtime.extras import install

ROOT = Path(__file__).resolve().parents[2]

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
    assert lines == [f"{library} is not installed; for vault_datatypes.{extra}: {install(extra)}"] * 2


def test_pandas_without_pyarrow_says_so_too() -> None:
    lines = run(BLOCKED.format(library="pyarrow", name="PandasWrapper", extra="pandas")).splitlines()
    assert lines == [f"pyarrow is not installed; for vault_datatypes.pandas: {install('pandas')}"] * 2


def test_what_is_to_be_installed_is_what_the_project_asks_for_and_no_package_that_no_index_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in LIBRARIES:
        wanted = [Requirement(text) for text in project["optional-dependencies"][extra]]
        assert install(extra).startswith("pip install ")
        assert [Requirement(text) for text in shlex.split(install(extra))[2:]] == wanted
    # What Vault itself says to users names no index, which does not have it.
    for source in (ROOT / "client", ROOT / "server", ROOT / "datatypes"):
        for file in source.rglob("*.py"):
            assert "pip install vault-grpc" not in (text := file.read_text())
            assert "'vault-grpc[" not in text


@pytest.mark.parametrize("library", ["", "pandas", "pyarrow", "PIL"])
def test_help_and_dir_are_whole_where_a_library_is_missing_too(library: str) -> None:
    shown = run(
        f"import sys; sys.modules[{library!r}] = None; import vault_datatypes, pydoc;"
        "print(*dir(vault_datatypes)); print(pydoc.plain(pydoc.render_doc(vault_datatypes)))"
    )
    missing = {"pandas": {"pandas"}, "pyarrow": {"pandas", "pyarrow"}, "PIL": {"pillow"}}.get(library, set())
    listed = set(shown.splitlines()[0].split())
    for extra, (_, names) in LIBRARIES.items():
        for name in names:
            assert (name in listed) == (extra not in missing)
            assert (f"class {name}(" in shown) == (extra not in missing)


def test_every_public_name_is_there_and_listed() -> None:
    names = [name for _, names in LIBRARIES.values() for name in names]
    assert sorted(vault_datatypes.__all__) == sorted(names)
    assert set(names) <= set(dir(vault_datatypes))
    for name in names:
        assert getattr(vault_datatypes, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'NoWrapper'"):
        _ = vault_datatypes.NoWrapper  # type: ignore[attr-defined]  # that is what is tested


@pytest.mark.skipif(sys.flags.optimize > 1, reason="Python was told to drop docstrings")
@pytest.mark.parametrize("extra", LIBRARIES)
def test_the_examples_in_the_docstrings_run(extra: str) -> None:
    result = doctest.testmod(import_module(f"vault_datatypes.{extra}"))
    assert result.attempted > 0
    assert result.failed == 0
