"""Type checkers, at their strictest, pass what is right on a typed unit, and find what is wrong, line by line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent

CHECKERS = {
    "mypy": ["mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "typing")],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}

PROGRAM = '''\
# pyright: strict
from typing import assert_type

import pandas as pd
from vault import AsyncTicket, AsyncUnit, AsyncVault, Datatype, RemoteVault, Ticket, Unit, UnitSettings, Vault


class Document(Datatype):
    def __init__(self, text: str) -> None:
        self.text = text


class Count(Datatype):
    def __init__(self, number: int) -> None:
        self.number = number


def add_one(count: Count) -> None:
    count.number += 1


def longer(document: Document) -> Document:
    return Document(document.text + "!")


def number_of(document: Document) -> int:
    return len(document.text)


def sync_calls(vault: Vault) -> None:
    documents = vault.unit("documents", Document, max_cached=10)
    frames = vault.unit("frames", pd.DataFrame)
    scores = vault.unit("scores", dict[str, int])
    assert_type(documents, Unit[Document])
    assert_type(documents.get("a"), Document)
    assert_type(documents.get("a", default=None), Document | None)
    assert_type(scores.get("a", default=0), dict[str, int] | int)
    assert_type(documents.load("a"), Ticket[Document] | None)
    assert_type(documents.load_many(["a", 1]), list[Ticket[Document] | None])
    assert_type(documents.create(Document("")), tuple[int, Ticket[Document]])
    assert_type(frames.get("a"), pd.DataFrame)
    assert_type(scores.get("a"), dict[str, int])
    assert_type(vault.unit("raw", bytes).get(1), bytes)
    with documents.open_ticket("a") as ticket:
        assert_type(ticket, Ticket[Document])
        assert_type(ticket.get_data(), Document)
        assert_type(ticket.get_clone(), Document)
        ticket.get_ref().text += "more"
        ticket.set(Document("new"))
        ticket.set("new")  # wrong
        ticket.get_ref().number += 1  # wrong
    with frames.open_ticket("a") as opened:
        opened.get_ref()["b"] = 1
        opened.set(pd.DataFrame())
        opened.set(1)  # wrong
    assert_type(documents.get_or_compute("a", lambda: Document("")), Document)
    documents.put("a", Document(""), tags={"a": "b"})
    documents.put_many({"a": Document("")})
    frames.put("a", pd.DataFrame())
    frames.put("a", Document(""))  # wrong
    documents.put_many({"a": Count(1)})  # wrong
    documents.get_or_compute("a", lambda: Count(1))  # wrong
    documents.edit("a", longer)
    vault.unit("counts", Count).edit("a", add_one)
    scores.edit("a", lambda held: {**held, "ada": 1})
    scores.edit("a", lambda held: held.clear())
    documents.edit("a", add_one)  # wrong
    documents.edit("a", number_of)  # wrong
    documents.edit("a", lambda document: document.number)  # wrong
    documents.upload(Count(1))  # wrong
    documents.upload("text")  # wrong
    documents.upload_many([Document(""), Count(1)])  # wrong
    documents.update("a", pd.DataFrame())  # wrong
    frames.upload(Document(""))  # wrong
    scores.upload({"ada": "three"})  # wrong
    documents.get("a").number  # wrong
    documents.get("a", default=None).text  # wrong
    documents.load("a").get_data()  # wrong
    documents.exists(1.5)  # wrong
    documents.upload(Document(""), title="a")  # wrong
    documents.no_such_call("a")  # wrong
    takes_documents(vault.unit("counts", Count))  # wrong
    takes_documents(documents)
    vault.unit(5, Document)  # wrong
    vault.unit("documents", Document("text"))  # wrong


def memoized(vault: Vault) -> None:
    documents = vault.unit("documents", Document)

    @documents.memoize()
    def shout(text: str, *, times: int = 1) -> Document:
        return Document(text.upper() * times)

    assert_type(shout("a", times=2), Document)
    shout(5)  # wrong
    shout("a", often=2)  # wrong
    documents.memoize()(number_of)  # wrong


def takes_documents(unit: Unit[Document]) -> None:
    for info in unit.list(prefix="a"):
        print(info.name, unit.stat(info.data_id))


async def async_calls(vault: AsyncVault) -> None:
    documents = vault.unit("documents", Document)
    assert_type(documents, AsyncUnit[Document])
    assert_type(await documents.get("a"), Document)
    assert_type(await documents.get("a", default=None), Document | None)
    assert_type(await documents.load("a"), AsyncTicket[Document] | None)
    async with await documents.open_ticket("a") as ticket:
        assert_type(ticket.get_ref(), Document)
        ticket.set(Count(1))  # wrong
    async with await vault.unit("frames", pd.DataFrame).open_ticket("a") as frames:
        assert_type(frames.get_data(), pd.DataFrame)
    await documents.upload(Count(1))  # wrong
    await documents.edit("a", add_one)  # wrong
    documents.get("a").text  # wrong

    @documents.memoize()
    async def shout(text: str) -> Document:
        return Document(text.upper())

    assert_type(await shout("a"), Document)
    shout(5)  # wrong

    @documents.memoize()  # a function that is no coroutine function runs in a thread
    def whisper(text: str) -> Document:
        return Document(text.lower())

    assert_type(await whisper("A"), Document)
    documents.memoize()(number_of)  # wrong


def untyped(vault: Vault, ticket: Ticket) -> None:
    """As programs were written before there were units: a ticket without a type is one of anything."""
    if loaded := vault.load("documents", "a"):
        print(loaded.get_data().text, ticket.get_data().text)  # unknown


def opened() -> None:
    with Vault("./data") as one, RemoteVault("host:1") as two, Vault("./data", {"a": UnitSettings(Document)}) as three:
        print(one, two, three)
    Vault("./data", {"a": (pd.DataFrame, 0)})  # wrong
    Vault("./data", ["a"])  # wrong
'''


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_pass_what_is_right_and_find_each_line_that_is_wrong(checker: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    lines = PROGRAM.splitlines()
    program, *options = CHECKERS[checker]
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *options, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    found = {int(line) for line in re.findall(r"program\.py:(\d+).*error", done.stdout)}
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert found == wrong, done.stdout + done.stderr
