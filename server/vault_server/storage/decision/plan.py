"""What a decision is made of, and what it comes to. Rows are tuples in the order of `rows`' columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeVar

from vault.errors import VaultError
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Key, ObjectInfo

from vault_server.storage.decision.rows import CHANGE_COLUMNS, Row
from vault_server.storage.decision.writes import Content

COMPACT_EVERY: Final = 1000
"""Changes that go out of the feed at once, at least."""

ROW_BYTES: Final = 500
"""What a retained generation takes in the index besides its bytes, about."""

_KIND: Final = CHANGE_COLUMNS.index("kind")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is replaced stays.

    Attributes:
        grace: Microseconds for which a generation that is replaced or deleted is retained; 0: it goes at once.
        history: Changes that the feed and its request ids reach back, at least.
        window: Microseconds that they reach back, at least: a write can be resumed for so long, and then be committed
            again by somebody who never learnt that it was.
    """

    grace: int = 0
    history: int = 1 << 62
    window: int = 0

    @property
    def step(self) -> int:
        """Changes by which the feed's floor rises at once, at least."""
        return min(COMPACT_EVERY, self.history)


class Found(NamedTuple):
    """An object in the index.

    Attributes:
        file: The blob with its bytes; None: they are in the index.
    """

    row: Row
    file: str | None


class Answer(NamedTuple):
    """What a request was answered: the object after it (of a deletion: before it) at the revision of the change."""

    kind: int
    request_hash: int | None
    row: Row


def to_answer(change: tuple[Any, ...]) -> Answer:
    """What the request of a row of `changes` was answered."""
    revision, unit, data_id, generation = change[:4]
    return Answer(change[_KIND], change[-1], Row(unit, data_id, generation, revision, *change[4:13]))


class Usage(NamedTuple):
    """What a unit holds, at which revision it last changed, and its limits: a row of `units`.

    Attributes:
        max_objects, max_bytes: None: no limit.
        when_full: 0: refuse; 1: evict.
    """

    unit: str
    objects: int = 0
    bytes: int = 0
    revision: int = 0
    max_objects: int | None = None
    max_bytes: int | None = None
    when_full: int = 0

    def limited(self, limits: UnitLimits) -> "Usage":
        """The same with other limits."""
        full = _WHEN_FULL.index(limits.when_full)
        return self._replace(max_objects=limits.max_objects, max_bytes=limits.max_bytes, when_full=full)

    @property
    def is_limited(self) -> bool:
        return self.max_objects is not None or self.max_bytes is not None

    def info(self) -> UnitInfo:
        """The same as the contract has it."""
        limits = UnitLimits(self.max_objects, self.max_bytes, _WHEN_FULL[self.when_full])
        return UnitInfo(self.unit, self.objects, self.bytes, self.revision, limits)


_WHEN_FULL: Final[tuple[Literal["refuse"], Literal["evict"]]] = ("refuse", "evict")


class Account(NamedTuple):
    """What is charged to a principal, and its limits: a row of `principals`. As for Usage."""

    principal: str
    objects: int = 0
    bytes: int = 0
    max_objects: int | None = None
    max_bytes: int | None = None

    def limited(self, limits: PrincipalLimits) -> "Account":
        """The same with other limits."""
        return self._replace(max_objects=limits.max_objects, max_bytes=limits.max_bytes)

    @property
    def is_limited(self) -> bool:
        return self.max_objects is not None or self.max_bytes is not None

    def charged(self, objects: int, size: int) -> "Account":
        """The same with more charged, or less; never below nothing."""
        return self._replace(objects=max(0, self.objects + objects), bytes=max(0, self.bytes + size))

    def info(self) -> PrincipalInfo:
        """The same as the contract has it."""
        limits = PrincipalLimits(self.max_objects, self.max_bytes)
        return PrincipalInfo(self.principal, self.objects, self.bytes, limits)


class Oldest(NamedTuple):
    """Objects of a unit that were stored longest ago, in that order.

    Attributes:
        complete: It has no others that could be deleted.
    """

    found: Sequence[Found]
    complete: bool


class Undecided(NamedTuple):
    """The first write of a group that cannot be decided yet, since it is not known what has to be evicted for it.

    Attributes:
        need: How many objects more have to be known, at least.
        data_id: The object in whose place it comes; None: in nobody's.
    """

    unit: str
    need: int
    data_id: int | None


@dataclass(slots=True)
class Facts:
    """What the index knows of what `asked` names, in one moment in which nobody else writes.

    Attributes:
        revision: Of the last change.
        clock: The store's time at its last commit.
        feed_floor: Changes up to this revision are no longer in the feed.
        rows: The objects with the ids, and those with the names, by unit and id.
        damaged: What an id or a name led to that cannot be believed, by unit and key.
        answers: By principal and request id.
        units: Those that ever held an object.
        oldest: Of units that evict, as far as it is known to be needed; their rows are in `rows`, too.
        accounts: Of the principals whose writes they are, and that something was ever charged to.
        floors: Where the feed could begin: revisions, descending, and when each was committed.
    """

    revision: int = 0
    clock: int = 0
    feed_floor: int = 0
    rows: dict[tuple[str, int], Found] = field(default_factory=dict)
    damaged: dict[tuple[str, Key], VaultError] = field(default_factory=dict)
    answers: dict[tuple[str, bytes], Answer] = field(default_factory=dict)
    units: dict[str, Usage] = field(default_factory=dict)
    floors: Sequence[tuple[int, int]] = ()
    oldest: dict[str, Oldest] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)

    @property
    def has_limits(self) -> bool:
        """Whether there are any for what the writes add to."""
        for usage in self.units.values():  # not `any` of a generator: each commit asks
            if usage.is_limited:
                return True
        return bool(self.accounts) and any(account.is_limited for account in self.accounts.values())


class NewContent(NamedTuple):
    """Bytes that the index is to have, in a blob or in itself; and the object that they are of."""

    number: int
    unit: str
    data_id: int
    content: Content


Outcome = ObjectInfo | int | VaultError
"""What a write is answered: the object, the revision of a deletion (0: there was nothing to delete), or its error."""


Item = TypeVar("Item")


@dataclass(slots=True)
class Plan:
    """What a group of writes comes to in all. An index that applies it in this order meets no name or id twice.

    Attributes:
        outcomes: Of each write.
        begun_at: The store's revision before.
        revision: And after; the same: there is nothing to apply.
        clock: The store's time.
        feed_floor: Changes up to this revision go out of the feed; None: none do.
        untagged: Rows of `tags` that go; `tagged`: that come.
        deleted: Units and ids of objects that go.
        unnamed: Those of objects whose name has to be given up before others take it.
        updated: Rows that replace those with their ids.
        inserted: New rows.
        contents: Bytes that come.
        dropped: Numbers of contents that go, since nothing is retained; `trash`: the blobs of them.
        retired: Rows of `retired`.
        changes: Rows of `changes`.
        units: Of each unit that something was changed in.
        charges: Principals, and by how many objects and bytes more is charged to each.
        expires: When the first of the rows that it writes does; None: none does.
        undecided: The plan is of the writes before this one.
        inlined: Bytes by which retained generations keep the index from giving room back, about.
    """

    outcomes: Sequence[Outcome]
    begun_at: int
    revision: int
    clock: int
    feed_floor: int | None = None
    untagged: list[tuple[str, str, str, int]] = field(default_factory=list)
    deleted: list[tuple[str, int]] = field(default_factory=list)
    unnamed: list[tuple[str, int]] = field(default_factory=list)
    updated: list[Row] = field(default_factory=list)
    inserted: list[Row] = field(default_factory=list)
    tagged: list[tuple[str, str, str, int]] = field(default_factory=list)
    contents: list[NewContent] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    trash: list[str] = field(default_factory=list)
    retired: list[tuple[Any, ...]] = field(default_factory=list)
    changes: list[tuple[Any, ...]] = field(default_factory=list)
    units: list[Usage] = field(default_factory=list)
    charges: list[tuple[str, int, int]] = field(default_factory=list)
    expires: int | None = None
    undecided: Undecided | None = None
    inlined: int = 0

    def answers(self, items: Sequence[Item], refused: Callable[[Item], VaultError | None]) -> Sequence[Outcome]:
        """The outcomes of items that were refused before it, and of the others, which it is of; of the first ones
        only, where one could not be decided."""
        decided = iter(self.outcomes)
        answers: list[Outcome] = []
        for item in items:
            outcome: Outcome | None = refused(item)
            if outcome is None and (outcome := next(decided, None)) is None:
                break
            answers.append(outcome)
        return answers
