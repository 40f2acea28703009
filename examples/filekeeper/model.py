"""What a keeper keeps, and how it becomes bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from vault import Datatype, JsonDatatype


class Item(Datatype):
    """A document or a folder. One unit holds both, and each comes back as what it is."""

    title: str


@dataclass
class Document(Item):
    """Whatever a file held. Stored is a line with the title, then the content."""

    title: str
    content: bytes

    def _dump(self) -> bytes:
        return self.title.encode() + b"\n" + self.content

    @classmethod
    def _load(cls, raw: bytes) -> "Document":
        title, _, content = raw.partition(b"\n")
        return cls(title.decode(), content)


@dataclass
class Folder(Item, JsonDatatype):
    """The ids of what is in it, in the order in which they were added. Stored is JSON, with no more to write."""

    title: str
    items: list[int] = field(default_factory=list)

    def add(self, data_ids: Iterable[int]) -> None:
        self.items += [data_id for data_id in dict.fromkeys(data_ids) if data_id not in self.items]

    def remove(self, data_ids: Iterable[int]) -> None:
        gone = set(data_ids)
        self.items = [data_id for data_id in self.items if data_id not in gone]
