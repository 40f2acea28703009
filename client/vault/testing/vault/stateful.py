"""A Vault held against a dict: whatever is loaded, with a cache in between, is what was last written.

class MyMachine(VaultMachine):
    def open_vault(self, directory):
        return Vault(directory, STRUCTURE)

def test_my_vault_behaves_like_a_dict():
    run_state_machine_as_test(MyMachine)
"""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vault._sync.objects.ticket import Ticket
from vault._sync.vault.facade import Vault
from vault.errors import AlreadyExistsError, BatchError, ConflictError, NotFoundError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo
from vault.testing.vault.harness import Document
from vault.unit import UnitLike

UNIT = "documents"
STRUCTURE: dict[str, UnitLike] = {UNIT: (Document, 3)}
"""Fewer objects are cached than there are ids, so that some are put out."""

ids = st.integers(min_value=1, max_value=5)
names = st.sampled_from(["a", "b", "5"])
keys: st.SearchStrategy[Key] = ids | names


class _Long(str):
    """Text that does not fit a block, nor a report of what failed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"LONG ({len(self)} characters)"


texts = st.sampled_from(["", "text", "ä", _Long("long " * (BLOCK_SIZE // 4))]) | st.text(max_size=5)


class VaultMachine(RuleBasedStateMachine):
    """Calls of a Vault, each made on a dict too, and the two compared.

    Attributes:
        reopens: The vault can be closed and opened again on the same storage.
    """

    reopens: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="vault-machine-"))
        self.vault = self.open_vault(self.directory)
        self.texts: dict[int, str] = {}
        self.names: dict[str, int] = {}
        self.generations: dict[int, int] = {}
        self.held: list[tuple[Ticket, str]] = []

    def open_vault(self, directory: Path) -> Vault:
        """Opens a vault with STRUCTURE; its objects are in `directory`, if anywhere."""
        raise NotImplementedError

    def close_vault(self, vault: Vault) -> None:
        """Closes it, and what `open_vault` opened with it."""
        vault.close()

    @rule(data_id=ids, name=st.none() | names, text=texts, create=st.booleans())
    def upload(self, data_id: int, name: str | None, text: str, *, create: bool) -> None:
        taken = data_id in self.texts or name in self.names
        try:
            if create:
                _, ticket = self.vault.create(UNIT, Document(text), name=name, data_id=data_id)
                ticket.close()
            else:
                self.vault.upload(UNIT, Document(text), name=name, data_id=data_id)
        except AlreadyExistsError:
            assert taken, f"id {data_id} and name {name!r} were free"
            return
        assert not taken, f"id {data_id} or name {name!r} was taken"
        self._now(data_id, text)
        if name is not None:
            self.names[name] = data_id

    @rule(key=keys, text=texts, right=st.sampled_from([None, True, False]))
    def update(self, key: Key, text: str, right: bool | None) -> None:  # noqa: FBT001  # Hypothesis passes it by name
        data_id = self._id(key)
        wanted = None if right is None else self.generations.get(data_id or 0, 3) + (0 if right else 1)
        expected = NotFoundError if data_id is None else ConflictError if right is False else None
        try:
            info = self.vault.update(UNIT, key, Document(text), if_generation=wanted)
        except VaultError as error:
            assert type(error) is expected, error  # noqa: PT017  # no fixture here
            return
        assert expected is None, f"this should be a {expected}"
        assert data_id is not None
        assert info.data_id == data_id
        self._now(data_id, text)

    @rule(name=names, text=texts, only_new=st.booleans())
    def put(self, name: str, text: str, *, only_new: bool) -> None:
        try:
            info = self.vault.put(UNIT, name, Document(text), if_generation=0 if only_new else None)
        except ConflictError:
            assert only_new
            assert name in self.names
            return
        assert not (only_new and name in self.names)
        assert info.data_id == self.names.setdefault(name, info.data_id)
        self._now(info.data_id, text)

    @rule(items=st.lists(st.tuples(names, texts), max_size=4))
    def put_many(self, items: list[tuple[str, str]]) -> None:
        infos = self.vault.put_many(UNIT, [(name, Document(text)) for name, text in items])
        for (name, _), info in zip(items, infos, strict=True):
            assert info.data_id == self.names.setdefault(name, info.data_id)
        for name, text in dict(items).items():  # of two with one name the last is there
            self._now(self.names[name], text)

    @rule(moves=st.lists(st.tuples(keys, names), max_size=4), replace=st.booleans())
    def rename_many(self, moves: list[tuple[Key, str]], *, replace: bool) -> None:
        try:
            results: list[ObjectInfo | VaultError] = list(self.vault.rename_many(UNIT, moves, replace=replace))
        except BatchError as error:
            results = error.results
        for (key, name), result in zip(moves, results, strict=True):
            data_id, holder = self._id(key), self.names.get(name)
            if data_id is None:
                assert isinstance(result, NotFoundError)
            elif not replace and holder not in (None, data_id):
                assert isinstance(result, AlreadyExistsError)
            else:
                assert isinstance(result, ObjectInfo), result
                if holder is not None and holder != data_id:
                    self._gone(holder)
                self.names = {known: owner for known, owner in self.names.items() if owner != data_id}
                self.names[name] = data_id

    @rule(key=keys, text=texts, whole=st.booleans(), discard=st.booleans())
    def edit_through_a_ticket(self, key: Key, text: str, *, whole: bool, discard: bool) -> None:
        ticket = self.vault.load(UNIT, key)
        data_id = self._id(key)
        assert (ticket is None) == (data_id is None)
        if ticket is None or data_id is None:
            return
        if whole:
            ticket.set(Document(text))
        else:
            ticket.get_ref().text = text
        if discard:
            ticket.discard()
        else:
            ticket.close()
            self._now(data_id, text)

    @rule(key=keys)
    def get(self, key: Key) -> None:
        try:
            mine = self.vault.get(UNIT, key)
        except NotFoundError:
            assert self._id(key) is None
            return
        assert mine.text == self._text(key)
        mine.text = "changed by whoever got it"

    @rule(key=keys)
    def edit(self, key: Key) -> None:
        def mark(document: Document) -> None:
            document.text = document.text[:20] + "!"

        data_id = self._id(key)
        try:
            self.vault.edit(UNIT, key, mark)
        except NotFoundError:
            assert data_id is None
            return
        assert data_id is not None
        self._now(data_id, self.texts[data_id][:20] + "!")

    @rule(key=keys)
    def hold(self, key: Key) -> None:
        """A ticket that stays open while others write."""
        ticket = self.vault.load(UNIT, key)
        if ticket is not None:
            self.held.append((ticket, self._text(key)))

    @precondition(lambda self: self.held)
    @rule()
    def let_go(self) -> None:
        ticket, _ = self.held.pop(0)
        ticket.close()

    @rule(keys=st.lists(keys, max_size=4))
    def delete_many(self, keys: list[Key]) -> None:
        for key, deleted in zip(keys, self.vault.delete_many(UNIT, keys), strict=True):
            data_id = self._id(key)
            assert deleted == (data_id is not None)
            if data_id is not None:
                self._gone(data_id)

    @rule(key=keys, name=st.just("") | names)
    def rename(self, key: Key, name: str) -> None:
        data_id = self._id(key)
        taken = self.names.get(name, data_id) != data_id
        try:
            self.vault.set_metadata(UNIT, key, name=name)
        except NotFoundError:
            assert data_id is None
            return
        except AlreadyExistsError:
            assert taken
            return
        assert data_id is not None
        assert not taken
        self.names = {known: owner for known, owner in self.names.items() if owner != data_id}
        if name:
            self.names[name] = data_id

    @rule(items=st.lists(st.tuples(texts, st.none() | names), max_size=4))
    def upload_many(self, items: list[tuple[str, str | None]]) -> None:
        objects = [Document(text) for text, _ in items]
        try:
            results: list[int | VaultError] = list(
                self.vault.upload_many(UNIT, objects, names=[name for _, name in items])
            )
        except BatchError as error:
            results = error.results
        for (text, name), result in zip(items, results, strict=True):
            if isinstance(result, VaultError):
                assert isinstance(result, AlreadyExistsError)
                assert name in self.names
            else:
                self._now(result, text)
                if name is not None:
                    assert name not in self.names
                    self.names[name] = result

    @rule(keys=st.lists(keys, max_size=6))
    def load_many(self, keys: list[Key]) -> None:
        for key, ticket in zip(keys, self.vault.load_many(UNIT, keys), strict=True):
            assert (ticket is None) == (self._id(key) is None)
            if ticket is not None:
                with ticket:
                    assert ticket.get_data().text == self._text(key)
        assert self.vault.exists_many(UNIT, keys) == [self._id(key) is not None for key in keys]

    @precondition(lambda self: self.reopens)
    @rule()
    def reopen(self) -> None:
        for ticket, _ in self.held:
            ticket.close()
        self.held.clear()
        self.close_vault(self.vault)
        self.vault = self.open_vault(self.directory)

    # What always holds

    @invariant()
    def loads_give_what_was_last_written(self) -> None:
        everything: list[Key] = [*self.texts, *self.names]
        for key in everything:
            ticket = self.vault.load(UNIT, key)
            assert ticket is not None, f"{key!r} is gone"
            with ticket:
                assert ticket.get_data().text == self._text(key)
        missing: list[Key] = [name for name in ("a", "b", "5") if name not in self.names]
        for key in [*missing, *({1, 2, 3, 4, 5} - self.texts.keys())]:
            assert self.vault.load(UNIT, key) is None

    @invariant()
    def listings_give_what_was_last_written(self) -> None:
        infos: list[ObjectInfo] = list(self.vault.list(UNIT))
        assert {info.data_id: info.size for info in infos} == {
            data_id: len(text.encode()) for data_id, text in self.texts.items()
        }
        named = {info.name: info.data_id for info in self.vault.list(UNIT, prefix="")}
        assert named == self.names
        newest = list(self.vault.list(UNIT, order="changed", descending=True))
        assert newest == sorted(infos, key=lambda info: info.revision, reverse=True)
        level = self.vault.list_level(UNIT)
        assert level.prefixes == []
        assert {info.name: info.data_id for info in level.objects} == self.names

    @invariant()
    def open_tickets_keep_what_they_have(self) -> None:
        for ticket, text in self.held:
            assert ticket.get_data().text == text
        assert self.vault.cache_stats().open_tickets == len(self.held)

    def teardown(self) -> None:
        for ticket, _ in self.held:
            ticket.close()
        self.close_vault(self.vault)
        shutil.rmtree(self.directory)

    def _gone(self, data_id: int) -> None:
        del self.texts[data_id], self.generations[data_id]
        self.names = {name: owner for name, owner in self.names.items() if owner != data_id}

    def _id(self, key: Key) -> int | None:
        return (key if key in self.texts else None) if isinstance(key, int) else self.names.get(key)

    def _text(self, key: Key) -> str:
        data_id = self._id(key)
        assert data_id is not None
        return self.texts[data_id]

    def _now(self, data_id: int, text: str) -> None:
        self.texts[data_id] = text
        info = self.vault.stat(UNIT, data_id)
        assert info is not None
        assert info.generation > self.generations.get(data_id, 0), "every write is a new generation"
        self.generations[data_id] = info.generation
