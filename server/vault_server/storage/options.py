"""StoreOptions: how a store is opened."""

from dataclasses import dataclass
from typing import Final, Literal

from vault.store.limits import BLOCK_SIZE, MAX_DATA_ID
from vault.store.setting import check_settings, choice, seconds, switch, units, whole

from vault_server.storage.decision.plan import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store is opened: what it promises, accepts and keeps. The same for every engine, as far as it applies.

    Attributes:
        allowed_units: The only units accepted; none: any.
        durability: "full": when a write returns, a crash of the process or the machine keeps it.
            "relaxed": a crash of the process keeps it; a crash of the machine or a power loss may
            lose the last writes, or leave objects whose bytes are incomplete, which their checksums
            tell (CorruptionError). For caches.
        inline_limit: Bytes up to which an object lives in the register, a block at most.
        feed_history: Changes that the feed keeps, at least; so far back `watch` and `changes` reach, and retried
            writes are recognised.
        retention: Seconds for which a generation that was replaced or deleted stays readable
            (`load(generation=...)`), so that readers, seekable ones and downloads that resume finish.
            0: its bytes go at once. A disk that is full, or more than 64 MiB of replaced objects in the
            register, shorten it.
        resume_window: Seconds that a resumable write is kept after it lost its writer; 0: not at all.
        group_access: The directory's group may read and write the store, too. Without it what is made in the
            directory is its owner's alone (0700 and 0600), whatever the umask; with it, its group's (2770 and
            0660). It is kept with the store: one that was given to its group stays so, and every process makes
            its files alike. An existing private one is given, whole, by its owner.
        allow_network_filesystem: Open a directory on NFS, SMB, Lustre, GPFS and their like all the same, which must
            then be used by one machine alone.

    Raises:
        InvalidArgumentError: BAD_SETTING, BAD_UNIT: a value is not what it may be.
    """

    allowed_units: tuple[str, ...] = units("Accept this unit; may be repeated. Without it: any unit.")
    durability: Literal["full", "relaxed"] = choice(
        "full",
        ("full", "relaxed"),
        "full: what is acknowledged survives a crash of the machine. relaxed: of the process only.",
    )
    # Up to there the register is two to seven times faster to write; from 128 KiB on concurrent writers are faster
    # with files, whose bytes are written once and not again by the checkpoint (docs/PERFORMANCE.md, "Measured once").
    inline_limit: int = whole(64 << 10, least=0, most=BLOCK_SIZE)
    feed_history: int = whole(100_000, least=1, most=MAX_DATA_ID)
    # A client that lost its connection tries for a minute by default.
    retention: float = seconds(
        300.0,
        "How long the bytes of an object that was replaced or deleted stay, for readers that are not done with them.",
        zero=True,
    )
    # A quarter of an hour, in which a machine reboots and somebody fetches a laptop from the train.
    resume_window: float = seconds(
        900.0, "How long what has arrived of an interrupted upload is kept, to be resumed. 0: not at all.", zero=True
    )
    group_access: bool = switch(
        "Let the directory's group read and write the store too; without it what is made there is its owner's alone."
    )
    allow_network_filesystem: bool = switch(
        "Serve a directory on NFS, SMB and their like all the same. No other machine may use it then."
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def durable(self) -> bool:
        """Whether a crash of the machine keeps what was acknowledged."""
        return self.durability == "full"

    @property
    def retained(self) -> Retention:
        """What decisions go by of it, in microseconds."""
        return Retention(round(self.retention * 1e6), self.feed_history, round(self.resume_window * 1e6))


DEFAULT_OPTIONS: Final = StoreOptions()
