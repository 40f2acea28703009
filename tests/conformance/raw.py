"""An embedded store's directory, looked at around the store: what its bytes really are, and bytes flipped."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from vault_server.storage import EmbeddedStore


class RawDirectory:
    """Reads and flips bytes where they lie: in the register, or in the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._flipped: list[tuple[str, int, int]] = []

    def read(self, unit: str, data_id: int) -> bytes | None:
        """The bytes of an object's current generation; None when the register has no such object."""
        with self._register() as register:
            found = _contents(register, unit, data_id)
        if found is None:
            return None
        _, file, data = found
        return data if file is None else (self.path / file).read_bytes()

    def flip(self, unit: str, data_id: int, offset: int) -> None:
        """Changes one byte; changes it back when done twice."""
        self._flip(unit, data_id, offset)
        self._flipped.append((unit, data_id, offset))

    def restore(self) -> None:
        """Undoes every flip."""
        while self._flipped:
            self._flip(*self._flipped.pop())

    def assert_sound(self) -> None:
        """Opens the directory and asserts that a deep audit finds nothing."""
        with EmbeddedStore(self.path) as store:
            report = store.check(deep=True)
        assert report.ok, report.problems

    def _flip(self, unit: str, data_id: int, offset: int) -> None:
        with self._register() as register:
            found = _contents(register, unit, data_id)
            assert found is not None, f"there is no object {data_id} in {unit!r}"
            number, file, data = found
            if file is None:
                changed = bytearray(data)
                changed[offset] ^= 0xFF
                register.execute("UPDATE contents SET data = ? WHERE number = ?", (bytes(changed), number))
                return
        with (self.path / file).open("r+b") as opened:
            opened.seek(offset)
            byte = opened.read(1)[0]
            opened.seek(offset)
            opened.write(bytes([byte ^ 0xFF]))

    @contextmanager
    def _register(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path / "register.db", timeout=30)) as register, register:
            yield register


def _contents(register: sqlite3.Connection, unit: str, data_id: int) -> tuple[int, str | None, bytes] | None:
    found: tuple[int, str | None, bytes] | None = register.execute(
        "SELECT c.number, file, data FROM contents c JOIN objects o ON o.content = c.number "
        "WHERE unit = ? AND data_id = ?",
        (unit, data_id),
    ).fetchone()
    return found
