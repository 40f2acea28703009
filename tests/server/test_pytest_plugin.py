"""The fixtures that a program's own tests get, in a project of their own."""

import importlib.metadata
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "vault_server.pytest_plugin"


def ran(folder: Path, tests: str, *options: str, conftest: str = "") -> str:
    """What pytest says of these tests, in a process that knows of no other plugins than those asked for."""
    (folder / "test_program.py").write_text(textwrap.dedent(tests))
    (folder / "conftest.py").write_text(textwrap.dedent(conftest))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, *options, folder],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pytest_finds_the_fixtures_by_itself() -> None:
    (found,) = importlib.metadata.entry_points(group="pytest11", name="vault")
    assert found.value == PLUGIN


def test_each_test_has_an_empty_vault_and_a_server_with_another(tmp_path: Path) -> None:
    shown = ran(
        tmp_path,
        """
        import asyncio, subprocess, sys
        import pytest
        from vault import RemoteVault, TextWrapper, UnknownUnitError

        @pytest.mark.parametrize("again", range(2))
        def test_vault(vault, vault_server, again):
            assert vault.unit("notes", str).upload("hello", name="a")
            remote = vault_server.vault()
            assert remote.find("notes", "a") is None, "it is another store"
            notes = remote.unit("notes", str)
            notes.upload("hello", name="a")
            with RemoteVault(vault_server.address, {"notes": (TextWrapper, 0)}) as another:
                assert another.find("notes", "a")
            assert vault_server.store.list_units() == ["notes"]
            shown = subprocess.run(
                [sys.executable, "-m", "vault.cli", "--vault", vault_server.location, "units"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert shown.stdout == "notes\\n"

        @pytest.mark.parametrize("again", range(2))
        def test_loops_of_the_tests_own(async_vault, vault_server, again):
            async def main():
                for vault in (async_vault, vault_server.async_vault()):
                    notes = vault.unit("notes", str)
                    await notes.upload("hello", name="a")
                    assert await notes.get("a") == "hello"
            asyncio.run(main())

        def test_unused(async_vault, vault_server):
            vault_server.async_vault()
        """,
    )
    assert "5 passed" in shown


def test_the_structure_is_the_tests_to_say(tmp_path: Path) -> None:
    shown = ran(
        tmp_path,
        """
        import asyncio
        from vault import TextWrapper

        def test_all(vault, async_vault, vault_server):
            for opened in (vault, vault_server.vault()):
                opened.upload("notes", TextWrapper("x"), name="a")
                with opened.load("notes", "a") as ticket:
                    assert ticket.get_data().data == "x"
            asyncio.run(async_vault.upload("notes", TextWrapper("x")))
        """,
        conftest="""
        import pytest
        from vault import TextWrapper

        @pytest.fixture
        def vault_structure():
            return {"notes": (TextWrapper, 0)}
        """,
    )
    assert "1 passed" in shown


ASYNC = """
    import pytest
    {mark}

    @pytest.mark.parametrize("again", range(2))
    async def test_both(async_vault, vault_server, again):
        for vault in (async_vault, vault_server.async_vault()):
            notes = vault.unit("notes", str)
            await notes.upload("hello", name="a")
            assert await notes.get("a") == "hello"
            changes = await vault.watch("notes", since=0)
            assert (await anext(changes)).name == "a"
"""


def test_under_pytest_asyncio(tmp_path: Path) -> None:
    option = "-o", "asyncio_default_fixture_loop_scope=function"
    for scope in ("function", "module"):
        mark = f'pytestmark = pytest.mark.asyncio(loop_scope="{scope}")'
        assert "2 passed" in ran(tmp_path, ASYNC.format(mark=mark), "-p", "pytest_asyncio.plugin", *option)


def test_under_anyio(tmp_path: Path) -> None:
    pytest.importorskip("anyio")
    mark = """pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
    """
    assert "2 passed" in ran(tmp_path, ASYNC.format(mark=mark), "-p", "anyio.pytest_plugin")


def test_a_fixture_of_the_projects_own_comes_first(tmp_path: Path) -> None:
    conftest = """
    import pytest

    @pytest.fixture
    def vault():
        return "mine"
    """
    assert "1 passed" in ran(tmp_path, "def test_it(vault): assert vault == 'mine'", conftest=conftest)


def test_it_imports_nothing_before_it_is_asked_for(tmp_path: Path) -> None:
    shown = ran(
        tmp_path,
        """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.split(".")[0] in ("vault", "vault_server", "grpc", "xxhash")}
            known = {"vault", "vault._runtime", "vault._runtime.lazy", "vault_server", "vault_server.pytest_plugin"}
            assert ours <= known, ours - known
        """,
    )
    assert "1 passed" in shown


def test_what_readme_shows_of_it_passes(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```py\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert "1 passed" in ran(tmp_path, shown)
