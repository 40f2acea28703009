"""A store of objects of every kind, and that nothing wrong is read of it whatever happens to its register."""

from pathlib import Path

from vault.errors import CorruptionError, NotFoundError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key
from vault_server.storage import EmbeddedStore

from tests.storage.objects import LARGE, SMALL, UNIT, delete, read, update, upload

FILES = {1: LARGE, 2: LARGE[1:], 3: LARGE[: BLOCK_SIZE + 1]}
"""Objects with files: the first never replaced, the second twice, the third after an inlined beginning."""

INLINED = {number: SMALL + bytes([number % 256]) * number for number in range(100, 400)}
DELETED = (50, 51)


def fill(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1, name="one", tags={"kind": "large"})
        upload(store, SMALL, data_id=2, name="two")
        update(store, 2, LARGE)
        update(store, 2, LARGE[1:])
        upload(store, SMALL, data_id=3, name="three", tags={"kind": "grown"})
        update(store, 3, FILES[3])
        upload(store, LARGE, data_id=50)
        upload(store, SMALL, data_id=51)
        for number, data in INLINED.items():
            upload(store, data, data_id=number, name=f"small-{number}", tags={"number": str(number)})
        for number in DELETED:
            delete(store, number)
        assert store.check(deep=True).ok


def outcome(store: EmbeddedStore, key: Key) -> bytes | type[VaultError]:
    """What a load gives: verified bytes, or the error."""
    try:
        if store.stat_many(UNIT, [key]) == [None]:
            return NotFoundError
        return read(store, key)
    except VaultError as error:
        return type(error)


def assert_nothing_wrong_is_read(store: EmbeddedStore, *errors: type[VaultError]) -> None:
    """Every object is as it was written, or says that it is not."""
    for number, data in {**FILES, **INLINED}.items():
        found = outcome(store, number)
        assert found in (data, CorruptionError, NotFoundError, *errors), (number, found)
