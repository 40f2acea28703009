"""Every public method of vaults, tickets, readers, writers and subscriptions has an example that runs."""

import ast
import contextlib
import doctest
import inspect
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vault
from vault import BytesWrapper, JsonWrapper, TextWrapper

CLASSES = ["Memoized", "Vault", "Unit", "Ticket", "ObjectReader", "ObjectWriter", "Subscription"]

STRUCTURE = {"notes": (TextWrapper, 0), "settings": (JsonWrapper, 0), "files": (BytesWrapper, 0)}
"""Of the `vault` in the examples, as the docstring of Vault says, and what is in it."""

LINES = b"hello\nworld\n"

NOT_FOR_PROGRAMS = {"create", "renew", "start", "take"}
"""What Vault's own modules call of each other."""

OF_EVERY_FILE = {"readable", "seekable", "writable"}


def documented(kind: type) -> Iterator[Any]:
    """A class and its public methods, but for those of Python's own base classes."""
    yield kind
    for name in dir(kind):
        home = next(base for base in kind.__mro__ if name in vars(base))
        own = home.__module__.startswith(("vault._sync", "vault._async")) and callable(vars(home)[name])
        if own and not name.startswith("_") and name not in NOT_FOR_PROGRAMS | OF_EVERY_FILE:
            yield vars(home)[name]


async def run(examples: list[doctest.Example], names: dict[str, Any]) -> None:
    """Runs them as doctest does, but that `await` may stand at the top."""
    for example in examples:
        code = compile(example.source, "<docstring>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        shown = io.StringIO()
        try:
            with contextlib.redirect_stdout(shown):
                result = eval(code, names)
                if code.co_flags & inspect.CO_COROUTINE:
                    await result
        except Exception as error:
            raised = f"{type(error).__module__}.{type(error).__qualname__}: {error}"
            if (example.exc_msg or "").strip() != raised:
                raise
            continue
        assert example.exc_msg is None, f"nothing was raised by {example.source}"
        assert shown.getvalue() == example.want, example.source


@pytest.mark.skipif(sys.flags.optimize > 1, reason="Python was told to drop docstrings")
@pytest.mark.parametrize("name", [side + name for side in ("", "Async") for name in CLASSES])
async def test_every_public_method_has_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    public = {each: getattr(vault, each) for each in vault.__all__}
    for number, each in enumerate(documented(public[name])):
        examples = doctest.DocTestParser().get_examples(inspect.getdoc(each) or "")
        assert examples, f"{each.__qualname__} has no example"
        if name.endswith("Memoized") and not isinstance(each, type):  # the function of the class's own
            examples = doctest.DocTestParser().get_examples(inspect.getdoc(public[name]) or "") + examples
        if name.startswith("Async"):
            async with vault.AsyncVault(f"data-{number}", STRUCTURE) as awaited:
                await awaited.upload("notes", TextWrapper("hello"), name="greeting", data_id=1)
                await awaited.upload("files", BytesWrapper(LINES), name="lines")
                await run(examples, public | {"io": io, "vault": awaited})
        else:
            with vault.Vault(f"data-{number}", STRUCTURE) as opened:
                opened.upload("notes", TextWrapper("hello"), name="greeting", data_id=1)
                opened.upload("files", BytesWrapper(LINES), name="lines")
                await run(examples, public | {"io": io, "vault": opened})
