"""Characters that steer terminals or are not seen: no new name holds one, and what has one stays within reach."""

import pickle
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vault import Datatype, RemoteVault, TextWrapper, Vault
from vault._escaping import escape_hidden, holds_hidden, json_line
from vault._sync.remote.store import RemoteStore
from vault.errors import BatchError, InvalidArgumentError, NotFoundError, VaultError
from vault.store.contract import Store
from vault.store.limits import check_key, check_new
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import Block, checksum
from vault.testing.store.bad_values import HIDDEN, SEEN
from vault_server import EmbeddedStore, Server

from tests import before

NAME = "a" + before.HIDDEN
KEY, VALUE = "\x1b\x9b\u202ek", before.HIDDEN[1:]  # SQLite's own JSON functions end a text at a NUL
TAG = "Text\u202e\x85"


class Text(Datatype):
    """Tagged as no new class's objects can be."""

    datatype_tag = TAG

    def __init__(self, text: str) -> None:
        self.text = text

    def _dump(self) -> bytes:
        return self.text.encode()

    @classmethod
    def _load(cls, raw: bytes) -> "Text":
        return cls(raw.decode())


STRUCTURE = {"texts": (Text, 10), "new": (TextWrapper, 10)}


# The rule


def test_hidden_are_unicodes_controls_separators_of_lines_and_formats_but_for_the_joiners() -> None:
    categories = {"Cc", "Cf", "Zl", "Zp"}
    for character in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(character) in categories:
            assert holds_hidden(character) == (character not in "\u200c\u200d"), hex(ord(character))
        elif holds_hidden(character):  # of a later Unicode than this Python has
            assert unicodedata.category(character) == "Cn", hex(ord(character))
    assert [each for each in before.HIDDEN if not holds_hidden(each)] == []


texts = st.text() | st.text(alphabet=before.HIDDEN + "aä\\") | st.sampled_from([*HIDDEN.values(), *SEEN.values()])


@given(texts.filter(bool))
@example("a\\x1b")
def test_a_name_is_new_when_it_is_text_without_hidden_characters(text: str) -> None:
    if holds_hidden(text):
        with pytest.raises(InvalidArgumentError) as caught:
            check_new(name=text)
        assert caught.value.reason == "BAD_NAME"
        assert not holds_hidden(str(caught.value))
        for tags in ({text: ""}, {"k": text}):
            with pytest.raises(InvalidArgumentError):
                check_new(tags=tags)
        with pytest.raises(InvalidArgumentError):
            check_new(datatype=text)
    else:
        check_new(name=text, tags={text: text}, datatype=text)
    if len(text) <= 256:
        check_key(text)


@given(texts)
def test_escaped_text_has_none_and_is_otherwise_the_same(text: str) -> None:
    shown = escape_hidden(text)
    assert not holds_hidden(shown)
    assert escape_hidden(shown) == shown
    assert (shown == text) == (not holds_hidden(text))
    assert escape_hidden(text, keep="\n").count("\n") == text.count("\n")
    error = VaultError(f"no {text}", name=text)
    assert str(error) == error.message == f"no {shown}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.context["name"] == text
    assert not holds_hidden(json_line({text: text}))


# What is there already


@pytest.fixture(params=["embedded", "remote"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    """A vault with one object from before the rule, under the name NAME."""
    before.store_before(tmp_path, "texts", b"text", name=NAME, tags={KEY: VALUE}, datatype=TAG)
    with EmbeddedStore(tmp_path) as store:
        if request.param == "embedded":
            with Vault(store, STRUCTURE) as opened:
                yield opened
        else:
            with Server(store, listen="127.0.0.1:0") as server, RemoteVault(server.address, STRUCTURE) as opened:
                yield opened
    with EmbeddedStore(tmp_path) as store:
        assert store.check(deep=True).ok


def loaded(vault: Vault, key: str | int) -> str | None:
    ticket = vault.load("texts", key)
    if ticket is None:
        return None
    with ticket:
        text: str = ticket.get_data().text
    return text


def test_what_exists_is_read_under_its_own_name(vault: Vault, tmp_path: Path) -> None:
    info = vault.stat("texts", NAME)
    assert info is not None
    assert (info.name, dict(info.tags), info.datatype) == (NAME, {KEY: VALUE}, TAG)
    assert vault.find("texts", NAME) == info.data_id
    assert vault.exists("texts", NAME)
    assert vault.exists_many("texts", [NAME, "b"]) == [True, False]
    assert loaded(vault, NAME) == "text"
    (ticket,) = vault.load_many("texts", [NAME])
    assert ticket is not None
    ticket.close()
    assert list(vault.list("texts")) == [info]
    assert list(vault.list("texts", prefix=NAME[:7])) == [info]
    assert list(vault.list("texts", tags={KEY: VALUE})) == [info]
    with vault.open("texts", NAME) as reader:
        assert reader.read() == b"text"
    vault.download_file("texts", NAME, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"text"


def test_what_exists_is_changed_under_its_own_name_and_keeps_what_it_has(vault: Vault) -> None:
    assert vault.update("texts", NAME, Text("updated")).name == NAME
    vault.edit("texts", NAME, lambda text: setattr(text, "text", "edited"))
    assert loaded(vault, NAME) == "edited"
    with vault.load("texts", NAME) as ticket:  # type: ignore[union-attr]
        ticket.get_ref().text = "by a ticket"
    assert loaded(vault, NAME) == "by a ticket"
    info = vault.set_metadata("texts", NAME, name=NAME, tags={KEY: VALUE, "new": "1"})
    assert (info.name, dict(info.tags), info.datatype) == (NAME, {KEY: VALUE, "new": "1"}, TAG)
    for tags in ({KEY: VALUE + "x"}, {KEY + "x": VALUE}):
        with pytest.raises(InvalidArgumentError) as caught:
            vault.set_metadata("texts", NAME, tags=tags)
        assert caught.value.reason == "BAD_TAGS"
    assert vault.stat("texts", NAME) == info


def test_what_exists_is_renamed_away_and_not_back(vault: Vault) -> None:
    info = vault.set_metadata("texts", NAME, name="plain", tags={})
    assert (info.name, dict(info.tags)) == ("plain", {})
    assert vault.find("texts", NAME) is None
    with pytest.raises(InvalidArgumentError) as caught:
        vault.set_metadata("texts", "plain", name=NAME)
    assert caught.value.reason == "BAD_NAME"
    assert loaded(vault, "plain") == "text"


def test_what_exists_is_deleted_under_its_own_name(vault: Vault) -> None:
    assert vault.delete("texts", NAME)
    assert not vault.delete("texts", NAME)
    with pytest.raises(NotFoundError) as caught:
        vault.update("texts", NAME, Text("x"))
    assert not holds_hidden(str(caught.value))
    assert list(vault.list("texts")) == []


NEW: dict[str, Callable[[Vault, Any], Any]] = {
    "upload": lambda vault, named: vault.upload("new", TextWrapper("x"), **named),
    "create": lambda vault, named: vault.create("new", TextWrapper("x"), **named),
    "upload_many": lambda vault, named: vault.upload_many("new", [TextWrapper("x")], names=[named["name"]]),
    "open_writer": lambda vault, named: vault.open_writer("new", **named),
    "upload_file": lambda vault, named: vault.upload_file("new", __file__, **named),
}


@pytest.mark.parametrize("new", NEW.values(), ids=NEW.keys())
def test_nothing_new_is_named_so(vault: Vault, new: Callable[[Vault, Any], Any]) -> None:
    for hidden in HIDDEN.values():
        with pytest.raises((InvalidArgumentError, BatchError)) as caught:
            new(vault, {"name": hidden})
        (error,) = caught.value.results if isinstance(caught.value, BatchError) else (caught.value,)
        assert error.reason == "BAD_NAME"
        assert not holds_hidden(str(caught.value))
    assert list(vault.list("new")) == []


def test_a_request_of_before_the_rule_is_answered_as_it_was(tmp_path: Path) -> None:
    info, spec = before.store_before(tmp_path, "texts", b"text", name=NAME, tags={KEY: VALUE}, datatype=TAG)
    other = UploadSpec(spec.data_id + 1, NAME[1:])

    def ask(store: Store) -> None:
        (answer,) = store.upload_many("texts", [SmallUpload(spec, b"text", checksum(b"text"))])
        assert answer == info
        (answer,) = store.upload_many("texts", [SmallUpload(other, b"", checksum(b""))])
        assert isinstance(answer, InvalidArgumentError)
        for resumable in (False, True):
            with store.upload("texts", spec, resumable=resumable) as writer:
                if not writer.persisted_size:
                    writer.write(Block(0, b"text", checksum(b"text")))
                assert writer.commit(4) == info
            with pytest.raises(InvalidArgumentError, match="bad name"):
                store.upload("texts", other, resumable=resumable)

    with (
        EmbeddedStore(tmp_path) as store,
        Server(store, listen="127.0.0.1:0") as server,
        RemoteStore(server.address) as remote,
        Server(remote, listen="127.0.0.1:0") as edge,
        RemoteStore(edge.address) as through,
    ):
        for each in (store, remote, through):
            ask(each)
