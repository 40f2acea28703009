"""Keeper: everything that can be done with documents and folders. Only this module speaks to the vault."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Self, TypeVar

from vault import AlreadyExistsError, ConnectionSettings, InvalidArgumentError, NotFoundError, ObjectInfo, Vault

from .model import Document, Folder, Item

UNIT = "items"

Kind = TypeVar("Kind", bound=Item)


class Keeper:
    """Documents and folders, each under a title of its own. A folder may hold other folders.

    Any number of keepers, in any number of processes, may work on one vault at a time.
    """

    def __init__(self, location: str) -> None:
        """`location`: a directory, or `grpc://host:port`. Nothing else differs between the two."""
        self._vault = Vault(location, {UNIT: (Item, 1000)}, connection=ConnectionSettings(timeout=5))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._vault.close()

    def new_folder(self, title: str, *, within: str | None = None) -> None:
        """Makes an empty folder, in another one if that is given."""
        self._new(Folder(title), within)

    def upload_document(self, title: str, content: bytes, *, within: str | None = None) -> None:
        """Keeps a document, in a folder if that is given."""
        self._new(Document(title, content), within)

    def get_document(self, title: str) -> Document:
        return self._read(title, Document)

    def list_folder(self, title: str | None = None) -> list[ObjectInfo]:
        """What is in a folder; without a title, what is in no folder."""
        infos = {info.data_id: info for info in self._vault.list(UNIT)}
        if title is not None:
            return [infos[data_id] for data_id in self._read(title, Folder).items if data_id in infos]
        held = {data_id for folder in self._folders().values() for data_id in folder.items}
        return sorted((info for info in infos.values() if info.data_id not in held), key=lambda info: info.name or "")

    def add_to_folder(self, folder: str, titles: Collection[str]) -> None:
        """Puts documents and folders into a folder. They stay in the folders that they are in already."""
        added = [self._find(title).data_id for title in titles]
        if self._find(folder, Folder).data_id in _reach(added, self._folders()):
            raise InvalidArgumentError(f"{folder!r} would end up inside itself")
        self._edit(folder, lambda target: target.add(added))

    def remove_from_folder(self, folder: str, titles: Collection[str]) -> None:
        """Takes documents and folders out of a folder. They stay in the vault."""
        removed = [self._find(title).data_id for title in titles]
        self._edit(folder, lambda target: target.remove(removed))

    def remove_document(self, title: str) -> None:
        """Removes a document, from every folder too."""
        self._remove({self._find(title, Document).data_id})

    def remove_folder(self, title: str, *, contents: bool = False) -> None:
        """Removes a folder; with `contents`, also everything in it that no other folder holds."""
        root = self._find(title, Folder).data_id
        doomed = {root}
        if contents:
            folders = self._folders()
            inside = _reach([root], folders)
            folders.pop(root, None)
            held = [item for holder, folder in folders.items() if holder not in inside for item in folder.items]
            doomed |= inside - _reach(held, folders)
        self._remove(doomed)

    def _new(self, item: Item, within: str | None) -> None:
        if within is not None:
            self._find(within, Folder)  # before anything is stored
        try:
            data_id = self._vault.upload(UNIT, item, name=item.title)
        except AlreadyExistsError as error:
            raise AlreadyExistsError(f"there is a {item.title!r} already", reason=error.reason) from error
        if within is not None:
            self._edit(within, lambda folder: folder.add([data_id]))

    def _edit(self, folder: str | int, change: Callable[[Folder], None]) -> None:
        """Changes a folder. When somebody else was faster, `change` is called again, with what they wrote."""

        def change_folder(item: Item) -> None:
            change(_as(Folder, item, folder))

        self._vault.edit(UNIT, folder, change_folder, attempts=100)

    def _remove(self, data_ids: set[int]) -> None:
        self._vault.delete_many(UNIT, data_ids)
        for holder, folder in self._folders().items():
            if not data_ids.isdisjoint(folder.items):
                with suppress(NotFoundError):  # somebody removed that folder meanwhile
                    self._edit(holder, lambda target: target.remove(data_ids))

    def _find(self, title: str, kind: type[Item] = Item) -> ObjectInfo:
        """What the vault knows of an item, without its bytes."""
        info = self._vault.stat(UNIT, title)
        if info is None or not issubclass(Item.decoder_for(info.datatype), kind):
            raise _missing(kind, title)
        return info

    def _read(self, title: str, kind: type[Kind]) -> Kind:
        ticket = self._vault.load(UNIT, title)
        if ticket is None:
            raise _missing(kind, title)
        with ticket:
            return _as(kind, ticket.get_data(), title)

    def _folders(self) -> dict[int, Folder]:
        """Every folder, by its id. Those that have not changed come out of the vault's cache."""
        data_ids = [info.data_id for info in self._vault.list(UNIT) if info.datatype == Folder.datatype_tag]
        folders = {}
        for data_id, ticket in zip(data_ids, self._vault.load_many(UNIT, data_ids), strict=True):
            if ticket is not None:
                with ticket:
                    folders[data_id] = ticket.get_data()
        return folders


def _reach(data_ids: Iterable[int], folders: Mapping[int, Folder]) -> set[int]:
    """The items, what is in them, what is in that, and so on."""
    found: set[int] = set()
    left = list(data_ids)
    while left:
        data_id = left.pop()
        if data_id not in found:
            found.add(data_id)
            left += folders[data_id].items if data_id in folders else []
    return found


def _as(kind: type[Kind], item: Item, key: str | int) -> Kind:
    if not isinstance(item, kind):
        raise _missing(kind, key)
    return item


def _missing(kind: type[Item], key: str | int) -> NotFoundError:
    return NotFoundError(f"there is no {kind.__name__.lower()} {key!r}")
