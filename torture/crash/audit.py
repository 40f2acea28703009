"""A store's directory compared with the journals of those who wrote to it."""

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from vault.store.values import Change, ObjectInfo
from vault_server import EmbeddedStore

from tests.storage.objects import read, upload
from torture.crash.ledger import CHANGES, OWN, SHARED, SLOTS, JournalReader, State
from torture.crash.owner import LISTS


@dataclass(slots=True)
class Figures:
    """What was looked at so far."""

    audits: int = 0
    objects: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    refused: int = 0
    changes: int = 0
    opening: list[float] = field(default_factory=list)  # seconds

    def __str__(self) -> str:
        return (
            f"{self.audits} audits of {self.objects} objects in all, {self.acknowledged} acknowledged writes, "
            f"{self.unacknowledged} unacknowledged, {self.refused} refused, {self.changes} changes in the feed, "
            f"opened in {max(self.opening):.3f} s at most"
        )


class Audit:
    """Looks at a directory after each crash. Whoever writes to it rests meanwhile.

    Raises AssertionError for whatever breaks a promise.
    """

    def __init__(self, directory: Path, journals: Path) -> None:
        self.figures = Figures()
        self._directory = directory
        self._journals = journals
        self._readers: dict[Path, JournalReader] = {}
        self._changes: dict[tuple[str, int], list[Change]] = {}
        self._revision = 0

    def prepare(self) -> None:
        """Makes the store, with the lists that all owners append to."""
        with EmbeddedStore(self._directory) as store:
            for data_id in LISTS:
                upload(store, b"", unit=SHARED, data_id=data_id, name=f"list{data_id}")

    def look(self) -> None:
        begun = time.monotonic()
        with EmbeddedStore(self._directory) as store:
            self.figures.opening.append(time.monotonic() - begun)
            report = store.check(deep=True)
            assert report.ok, report.problems
            left = staged_files(self._directory)  # the check waits until what a crash left is settled
            assert not left, f"staged leftovers: {left}"
            self._follow_feed(store)
            infos = {unit: list(_all(store, unit)) for unit in (OWN, SLOTS, SHARED)}
            lists = {info.data_id: read(store, info.data_id, unit=SHARED) for info in infos[SHARED]}
            revision = store.revision
        # Journals come last: whoever still writes to them knows of no commit after what was looked at.
        self._read_journals()
        pending = self.figures.unacknowledged
        assert report.suspended <= pending, f"{report.suspended} writes wait to be resumed, {pending} are unfinished"
        for unit in (OWN, SLOTS):
            self._compare(unit, infos[unit])
        self._compare_lists(lists)
        self._compare_feed(revision)
        self.figures.audits += 1
        self.figures.objects += report.objects

    def _read_journals(self) -> None:
        for path in self._journals.glob("*.journal"):
            reader = self._readers.setdefault(path, JournalReader(path))
            reader.catch_up()
            assert not reader.ledger.violations, f"{path.stem}: {reader.ledger.violations}"
        writes = [write for reader in self._readers.values() for write in reader.ledger.writes]
        outcomes = Counter(write.outcome for write in writes)
        self.figures.acknowledged = outcomes["acknowledged"]
        self.figures.unacknowledged = outcomes["pending"]
        self.figures.refused = outcomes["refused"]

    def _follow_feed(self, store: EmbeddedStore) -> None:
        revision, changes = store.changes(self._revision)
        revisions = [change.revision for change in changes]
        assert revisions == list(range(self._revision + 1, revision + 1)), "the feed has holes"
        for change in changes:
            self._changes.setdefault((change.unit, change.data_id), []).append(change)
        self._revision = revision
        self.figures.changes += len(changes)

    def _compare(self, unit: str, infos: list[ObjectInfo]) -> None:
        """Each object is what its owner's journal allows, and those that must be there are."""
        names = Counter(info.name for info in infos if info.name is not None)
        assert all(count == 1 for count in names.values()), f"names are not unique: {names.most_common(3)}"
        found = {info.data_id: State(info.size, info.checksum, info.name) for info in infos}
        journaled: set[int] = set()
        for reader in self._readers.values():
            for written, data_id in reader.ledger.objects:
                if written == unit:
                    journaled.add(data_id)
                    possible = reader.ledger.possible(unit, data_id)
                    assert found.get(data_id) in possible, (
                        f"{unit}/{data_id} of owner {reader.owner} is {found.get(data_id)}, may be {possible}"
                    )
        assert found.keys() <= journaled, f"nobody wrote {unit}/{found.keys() - journaled}"

    def _compare_lists(self, lists: dict[int, bytes]) -> None:
        """Each acknowledged line is there once, refused ones are not, and nobody's line twice."""
        assert sorted(lists) == sorted(LISTS)
        lines = {data_id: Counter(data.decode().splitlines()) for data_id, data in lists.items()}
        wanted: set[tuple[int, str]] = set()
        for reader in self._readers.values():
            for write in reader.ledger.writes:
                if write.unit == SHARED:
                    count = lines[write.data_id][write.stamp]
                    allowed = {"acknowledged": (1,), "refused": (0,), "pending": (0, 1)}[write.outcome]
                    assert count in allowed, f"{write} is {count} times in list {write.data_id}"
                    wanted.add((write.data_id, write.stamp))
        strangers = {(data_id, line) for data_id, counts in lines.items() for line in counts} - wanted
        assert not strangers, f"nobody wrote {strangers}"

    def _compare_feed(self, revision: int) -> None:
        """Each write is in the feed once: a retried one too, a refused one not at all."""
        for reader in self._readers.values():
            for (unit, data_id), writes in reader.ledger.objects.items():
                if unit == SHARED:
                    continue
                changes = self._changes.get((unit, data_id), [])
                made = Counter(change.kind for change in changes)
                least = Counter(CHANGES[write.kind] for write in writes if write.outcome == "acknowledged")
                most = Counter(CHANGES[write.kind] for write in writes if write.outcome != "refused")
                assert least <= made <= most, f"{unit}/{data_id} changed {made}, its owner knows of {least} to {most}"
                generations = [write.generation for write in writes if write.generation is not None]
                assert all(one < next_ for one, next_ in pairwise(generations)), generations
                missing = set(generations) - {change.generation for change in changes}
                assert not missing, f"acknowledged generations of {unit}/{data_id} are not in the feed: {missing}"
                assert all(generation <= revision for generation in generations), "the revision went back"


def staged_files(directory: Path) -> list[Path]:
    """Bytes in staging, but for those of writes that wait to be resumed."""
    staging = directory / ".staging"
    return [
        path
        for path in staging.rglob("*")
        if path.is_file() and path.stat().st_size and path.relative_to(staging).parts[0] != "writes"
    ]


def _all(store: EmbeddedStore, unit: str) -> list[ObjectInfo]:
    infos: list[ObjectInfo] = []
    token = ""
    while True:
        page = store.list_page(unit, page_size=1000, page_token=token)
        infos += page.objects
        token = page.next_page_token
        if not token:
            return infos
