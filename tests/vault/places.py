"""Places to open vaults on: a directory, or a server; several vaults on one of them at a time."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from vault import Datatype, RemoteVault, UnitSettings, Vault
from vault_server import AccessSettings, EmbeddedStore, Server

from tests.waiting import assert_soon


class Note(Datatype):
    """Text that can be changed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _dump(self) -> bytes:
        return self.text.encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(raw.decode())


class Count(Datatype):
    """A number that can be changed."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _dump(self) -> bytes:
        return str(self.number).encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(int(raw))


STRUCTURE: dict[str, UnitSettings | tuple[type[Datatype], int]] = {"notes": (Note, 0), "counts": (Count, 0)}


class Place:
    """Where vaults are opened; they are closed with it."""

    def __init__(self, kind: str, directory: Path, access: AccessSettings | None = None) -> None:
        self.kind = kind
        self._access = access
        self.location: str
        self.directory = directory / "store"
        self._stack = ExitStack()
        if kind == "remote":
            self.store = self._stack.enter_context(EmbeddedStore(self.directory))
            self.server = self._stack.enter_context(Server(self.store, access=access))
            self.location = f"{'' if access else 'grpc://'}{self.server.address}"
        else:
            self.location = str(self.directory)

    def open(self, structure: Any = None, **options: Any) -> Vault:
        """A vault of its own on the place, as another process would have it."""
        structure = STRUCTURE if structure is None else structure
        if self.kind == "remote":
            vault: Vault = RemoteVault(self.server.address, structure, **options)
        else:
            vault = Vault(self.directory, structure, **options)
        return self._stack.enter_context(vault)

    def restart(self) -> None:
        """Stops the server, and starts another at the same address on the same store."""
        address = self.server.address
        self.server.stop(grace=0)
        self.server = self._stack.enter_context(Server(self.store, address, access=self._access))

    def close(self) -> None:
        self._stack.close()


def text_of(vault: Vault, key: int | str) -> str | None:
    """The note's text as a load shows it now."""
    ticket = vault.load("notes", key)
    if ticket is None:
        return None
    with ticket:
        text: str = ticket.get_data().text
        return text


def following(vault: Vault) -> None:
    """Waits until the vault follows the change feed, so that what it holds is served without asking."""
    assert_soon(lambda: _epoch(vault))


def _epoch(vault: Vault) -> int:
    return vault._coherence.epoch()
