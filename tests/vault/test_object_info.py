"""What is known of objects, as programs, notebooks and HTTP servers use it."""

import copy
import io
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import BytesWrapper, NotFoundError, ObjectInfo, Vault
from vault._cache.cache import CacheStats
from vault._display import MOST_ROWS
from vault._escaping import escape_hidden
from vault.store.columns import ObjectInfos
from vault.store.listing import Level
from vault.store.usage import UnitInfo
from vault.store.values import Page, UploadedId, checksum
from vault.wrappers import JsonDatatype
from vault_datatypes import MsgspecWrapper, PydanticWrapper

from tests.vault.places import Note, Place

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
texts = st.text(max_size=40) | st.sampled_from(
    ["<script>alert(1)</script>", "\"' onload=x", "&lt;", "\u202egpj.exe", "\x1b[31m"]
)


def info_of(name: str | None, tags: dict[str, str] | None = None) -> ObjectInfo:
    return ObjectInfo("u", 2**63 - 1, 7, 9, 5, checksum(b"hello"), "", name, tags or {}, NOW, NOW, NOW, None)


class Cells(HTMLParser):
    """The cells of a table; fails at whatever is no table of text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.lines: list[str] = []
        self._into: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert tag in {"table", "thead", "tbody", "tr", "th", "td", "p"}
        assert not attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "p"):
            self._into = self.lines if tag == "p" else self.rows[-1]
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        self._into = None

    def handle_data(self, data: str) -> None:
        assert self._into is not None, data
        self._into[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@given(texts, st.dictionaries(texts, texts, max_size=3))
def test_what_notebooks_show_is_a_table_of_text_whatever_names_and_tags_hold(name: str, tags: dict[str, str]) -> None:
    info = info_of(name, tags)
    shown = escape_hidden(name)
    assert dict(Cells(info._repr_html_()).rows)["name"] == shown
    for listing in (Page([info], ""), Level([name], [info]), ObjectInfos[None].of([info])):
        cells = Cells(listing._repr_html_())
        assert cells.rows[0] == ["name", "data_id", "size", "updated_at", "datatype", "tags"]
        assert cells.rows[1][0] == shown
        assert cells.rows[1][-1] == escape_hidden(" ".join(f"{key}={value}" for key, value in sorted(tags.items())))


def test_a_notebook_shows_every_field_of_a_value() -> None:
    for value in (info_of("a"), UnitInfo("u", 1, 2, 3), CacheStats(1, 2, 3, 4, 5, 6, 7)):
        cells = Cells(value._repr_html_())
        assert [row[0] for row in cells.rows] == [field.name for field in fields(value)]


def test_a_long_listing_is_cut_in_notebook_and_session() -> None:
    objects = [info_of(f"n{number}") for number in range(1000)]
    errors: list[ObjectInfo | NotFoundError] = [*objects, NotFoundError("gone")]
    for listing in (Page(objects, "more"), Level(["x/"], objects, "n9"), ObjectInfos[None].of(objects)):
        cells = Cells(listing._repr_html_())
        assert len(cells.rows) == 1 + MOST_ROWS
        assert cells.lines[0] == "and 900 more"
        assert len(repr(listing)) < 3000
        assert "'n4'" in repr(listing)
        assert "… 995 more" in repr(listing)
    assert "x/" in repr(Level(["x/"], objects))
    assert "more" in repr(Page([], "more"))
    assert ["gone"] in Cells(ObjectInfos[NotFoundError].of(errors[-2:])._repr_html_()).rows


def test_a_checksum_is_the_same_text_in_python_in_the_command_and_elsewhere(tmp_path: Path) -> None:
    assert info_of(None).checksum_hex == f"{checksum(b'hello'):016x}" == "9555e8555c62dcfd"
    with Vault(tmp_path / "v", {"u": (BytesWrapper, 0)}) as vault:
        vault.upload("u", BytesWrapper(b"hello"), name="a")
        found = vault.stat("u", "a")
    assert found is not None
    shown = subprocess.run(
        [sys.executable, "-m", "vault.cli", "--vault", tmp_path / "v", "stat", "a", "--unit", "u"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"checksum\t{found.checksum_hex}\n" in shown.stdout


def test_an_etag_changes_with_the_bytes_and_with_nothing_else(place: Place) -> None:
    vault = place.open()
    key = vault.upload("notes", Note("one"), name="a")
    first = vault.stat("notes", key)
    assert first is not None
    assert re.fullmatch(r'"\d+-[0-9a-f]{16}"', first.etag)
    assert vault.set_metadata("notes", key, name="b", tags={"k": "v"}).etag == first.etag
    second = vault.update("notes", key, Note("two"))
    third = vault.update("notes", key, Note("two"))
    assert len({first.etag, second.etag, third.etag}) == 3
    assert second.checksum_hex == third.checksum_hex
    found = vault.stat("notes", key)
    assert found is not None
    assert found.etag == third.etag, "no second call is needed"
    with vault.open_writer("notes", name="streamed") as writer:
        writer.write(b"x")
    assert writer.info.etag


def test_written_at_is_when_the_bytes_were_written_and_updated_at_when_anything_was(place: Place) -> None:
    vault = place.open()
    key = vault.upload("notes", Note("one"))
    first = vault.stat("notes", key)
    assert first is not None
    assert first.written_at == first.updated_at
    tagged = vault.set_metadata("notes", key, tags={"k": "v"})
    assert tagged.written_at == first.written_at
    assert tagged.updated_at >= first.updated_at
    written = vault.update("notes", key, Note("two")).written_at
    assert written is not None
    assert written >= tagged.updated_at - timedelta(seconds=1)
    assert tagged.expires_at is None


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_an_uploaded_id_is_a_number_that_knows_its_object(again: Callable[[UploadedId], UploadedId]) -> None:
    with Vault("memory://", {"notes": (BytesWrapper, 0)}) as vault:
        uploaded = vault.upload("notes", BytesWrapper(b"hello"), name="greeting")
        streamed = vault.upload_file("notes", io.BytesIO(b"hello"))
        assert (uploaded.info, streamed.info) == (vault.stat("notes", uploaded), vault.stat("notes", streamed))
        assert vault.exists("notes", again(uploaded))
    assert again(uploaded) == uploaded == int(uploaded)
    assert again(uploaded).info == uploaded.info
    assert (json.dumps(uploaded), hash(uploaded)) == (str(int(uploaded)), hash(int(uploaded)))


def test_an_uploaded_id_is_stored_as_the_number_it_is_by_whatever_stores_numbers() -> None:
    class Struct(msgspec.Struct):
        member: int
        members: list[int]

    class Model(pydantic.BaseModel):
        member: int

    class Folder(JsonDatatype):
        def __init__(self, *members: int) -> None:
            self.members = list(members)

    with Vault("memory://") as vault:
        uploaded = vault.unit("notes", str).upload("a note")
        number, structs, models = int(uploaded), MsgspecWrapper.of(Struct), PydanticWrapper.of(Model)
        listed = vault.unit("lists", dict)
        listed.put("name", {"first": uploaded, "all": [uploaded]})
        assert listed.get("name") == {"first": number, "all": [number]}
        vault.unit("numbers", int).put("name", uploaded)
        assert vault.unit("numbers", int).get("name") == number
        vault.unit("folders", Folder).put("name", Folder(uploaded))
        assert vault.unit("folders", Folder).get("name").members == [number]
        vault.unit("structs", structs).put("name", structs(Struct(uploaded, [uploaded])))
        assert vault.unit("structs", structs).get("name").data == Struct(number, [number])
        vault.unit("models", models).put("name", models(Model.model_construct(member=uploaded)))
        assert vault.unit("models", models).get("name").data == Model(member=number)
