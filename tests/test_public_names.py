"""What the packages offer: whole, without internals, and with the true error when something is broken."""

import importlib
import pydoc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import vault.errors
import vault.store

PACKAGES = ["vault", "vault.store", "vault_server", "vault_datatypes"]


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_and_help_show_every_public_name_and_no_internals(package: str) -> None:
    module = importlib.import_module(package)
    listed = dir(module)
    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("__")} == set(module.__all__)
    text = pydoc.plain(pydoc.render_doc(module))
    for name in module.__all__:
        value = getattr(module, name)
        shown = name
        if isinstance(value, type) and value.__module__.startswith("vault"):
            shown = f"class {name}(" if name == value.__name__ else f"{name} = class {value.__name__}("
        assert shown in text or f"class {name}\n" in text, name
    assert "import_module" not in text
    assert "_HOMES" not in text


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there_is_no_attribute(package: str) -> None:
    module = importlib.import_module(package)
    assert not hasattr(module, "NoSuchName")
    with pytest.raises(ImportError, match="cannot import name 'NoSuchName'"):
        exec(f"from {package} import NoSuchName")


@pytest.mark.parametrize(
    ("package", "name", "home"),
    [
        ("vault", "Vault", "vault._sync.vault.facade"),
        ("vault", "InvalidArgumentError", "vault.errors"),
        ("vault.store", "Block", "vault.store.values"),
        ("vault_server", "Server", "vault_server.server"),
        ("vault_datatypes", "NumpyWrapper", "vault_datatypes.numpy"),
    ],
)
@pytest.mark.parametrize("broken", ["import os; os.no_such_thing", "from os import no_such_thing", "1 / 0", ""])
def test_an_error_inside_a_module_is_the_error_that_is_shown(
    tmp_path: Path, package: str, name: str, home: str, broken: str
) -> None:
    (tmp_path / "broken.py").write_text(broken)
    program = f"""
import importlib.util, sys
class Finder:  # finds the broken module in the place of Vault's own
    def find_spec(self, name, path=None, target=None):
        if name == {home!r}:
            return importlib.util.spec_from_file_location(name, {str(tmp_path / "broken.py")!r})
sys.meta_path.insert(0, Finder())
from {package} import {name}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert f"cannot import name '{name}' from '{package}'" not in done.stderr
    assert home in last or "no_such_thing" in last or "ZeroDivisionError" in last
    if broken:
        assert 'broken.py", line 1' in done.stderr


def _classes(annotation: object) -> Iterator[type]:
    """The classes that an annotation names, at any depth."""
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _classes(part)


@pytest.mark.parametrize("name", ["BlockReader", "BlockWriter", "Store", "Watch"])
@pytest.mark.parametrize("side", ["", "Async"])
def test_every_type_in_the_signatures_of_the_contract_is_exported(side: str, name: str) -> None:
    public = [getattr(module, each) for module in (vault.store, vault.errors) for each in dir(module)]
    contract = getattr(vault.store, side + name)
    named: set[type] = set()
    for method in vars(contract).values():
        signature = method.fget if isinstance(method, property) else method
        if callable(signature):
            for annotation in get_type_hints(signature).values():
                named.update(_classes(annotation))
    ours = {each for each in named if each.__module__.startswith("vault")}
    assert ours
    assert not [each for each in ours if each not in public], "export these from vault.store"
