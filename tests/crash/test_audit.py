"""The audit finds what is wrong: stores that are not what their writers were told, made by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault.store.specs import MetadataSpec
from vault_server import EmbeddedStore

from tests.storage.objects import blob_of, delete, update, upload
from torture.crash.audit import Audit
from torture.crash.ledger import OWN, SHARED, Journal, content, stamped


class Desk:
    """A store, and the journal of one who writes to it."""

    def __init__(self, folder: Path) -> None:
        (folder / "journals").mkdir()
        self.directory = folder / "store"
        self.audit = Audit(self.directory, folder / "journals")
        self.audit.prepare()
        self.store = EmbeddedStore(self.directory)
        self.journal = Journal(folder / "journals" / "1.journal")

    def upload(self, data_id: int, stamp: str, *, name: str | None = None) -> None:
        number = self.journal.intend("upload", OWN, data_id, name=name, **stamped(stamp, 1000))
        upload(self.store, content(stamp, 1000), unit=OWN, data_id=data_id, name=name)
        self.journal.acknowledge(number, None)

    def append(self, stamp: str) -> int:
        return self.journal.intend("append", SHARED, 1, stamp=stamp)

    def close(self) -> None:
        self.store.close()
        self.journal.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.close()


def test_what_is_as_it_was_told_passes(desk: Desk) -> None:
    desk.upload(1, "a", name="one")
    desk.upload(2, "b")
    number = desk.journal.intend("update", OWN, 2, **stamped("c", 70_000))
    desk.journal.acknowledge(number, update(desk.store, 2, content("c", 70_000), unit=OWN).generation)
    number = desk.journal.intend("rename", OWN, 1, name="other")
    desk.store.set_metadata(OWN, MetadataSpec(1, "other"))
    desk.journal.acknowledge(number, None)
    desk.audit.look()
    number = desk.journal.intend("delete", OWN, 1)
    delete(desk.store, 1, unit=OWN)
    desk.journal.acknowledge(number, None)
    desk.journal.acknowledge(desk.append("a"), update(desk.store, 1, b"a\n", unit=SHARED).generation)
    desk.audit.look()
    assert desk.audit.figures.acknowledged == 6


@pytest.mark.parametrize("applied", [False, True])
def test_what_nobody_acknowledged_may_be_there_or_not(*, desk: Desk, applied: bool) -> None:
    desk.upload(1, "a")
    desk.journal.unknown(desk.journal.intend("update", OWN, 1, **stamped("b", 1000)), "the server was away")
    desk.journal.intend("upload", OWN, 2, **stamped("c", 1000))
    desk.append("d")
    if applied:
        update(desk.store, 1, content("b", 1000), unit=OWN)
        upload(desk.store, content("c", 1000), unit=OWN, data_id=2)
        update(desk.store, 1, b"d\n", unit=SHARED)
    desk.audit.look()  # which finds nothing wrong
    assert desk.audit.figures.acknowledged == 1


def lost(desk: Desk) -> None:
    desk.journal.acknowledge(desk.journal.intend("upload", OWN, 9, **stamped("z", 1000)), None)


def lost_update(desk: Desk) -> None:
    desk.journal.acknowledge(desk.journal.intend("update", OWN, 1, **stamped("z", 1000)), None)


def other_bytes(desk: Desk) -> None:
    update(desk.store, 1, content("z", 1000), unit=OWN)


def torn(desk: Desk) -> None:
    desk.journal.intend("update", OWN, 1, **stamped("z", 1000))
    update(desk.store, 1, content("z", 1000)[:500], unit=OWN)


def other_name(desk: Desk) -> None:
    desk.store.set_metadata(OWN, MetadataSpec(1, "other"))


def undeleted(desk: Desk) -> None:
    desk.journal.acknowledge(desk.journal.intend("delete", OWN, 1), None)


def stranger(desk: Desk) -> None:
    upload(desk.store, b"nobody's", unit=OWN, data_id=9)


def refused_and_there(desk: Desk) -> None:
    number = desk.journal.intend("upload", OWN, 9, **stamped("z", 1000))
    upload(desk.store, content("z", 1000), unit=OWN, data_id=9)
    desk.journal.refuse(number, "the name is taken")


def applied_twice(desk: Desk) -> None:
    number = desk.journal.intend("update", OWN, 1, **stamped("z", 1000))
    for _ in range(2):
        info = update(desk.store, 1, content("z", 1000), unit=OWN)
    desk.journal.acknowledge(number, info.generation)


def other_generation(desk: Desk) -> None:
    number = desk.journal.intend("update", OWN, 1, **stamped("z", 1000))
    desk.journal.acknowledge(number, update(desk.store, 1, content("z", 1000), unit=OWN).generation + 1)


def line_lost(desk: Desk) -> None:
    desk.journal.acknowledge(desk.append("z"), None)


def line_twice(desk: Desk) -> None:
    desk.journal.acknowledge(desk.append("z"), update(desk.store, 1, b"z\nz\n", unit=SHARED).generation)


def strange_line(desk: Desk) -> None:
    update(desk.store, 1, b"z\n", unit=SHARED)


def left_in_staging(desk: Desk) -> None:
    (desk.directory / ".staging").mkdir(exist_ok=True)
    (desk.directory / ".staging" / "left").write_bytes(b"over")


def flipped_byte(desk: Desk) -> None:
    number = desk.journal.intend("upload", OWN, 9, **stamped("z", 300_000))
    upload(desk.store, content("z", 300_000), unit=OWN, data_id=9)
    desk.journal.acknowledge(number, None)
    with blob_of(desk.directory, 9, OWN).open("r+b") as file:
        file.seek(1234)
        byte = file.read(1)
        file.seek(1234)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    "damage",
    [
        lost, lost_update, other_bytes, torn, other_name, undeleted, stranger, refused_and_there, applied_twice,
        other_generation, line_lost, line_twice, strange_line, left_in_staging, flipped_byte,
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_told_is_found(desk: Desk, damage: Callable[[Desk], None]) -> None:
    desk.upload(1, "a", name="one")
    desk.audit.look()
    damage(desk)
    with pytest.raises(AssertionError):
        desk.audit.look()
