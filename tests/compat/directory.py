"""Writes into a store's directory, and tells what is in it, or at a server, by whichever version runs this.

python -m tests.compat.directory write DIRECTORY FIRST_ID
python -m tests.compat.directory resume DIRECTORY FIRST_ID
python -m tests.compat.directory change DIRECTORY
python -m tests.compat.directory read DIRECTORY
python -m tests.compat.directory at ADDRESS
"""

import json
import sys
from pathlib import Path
from typing import Any

from vault import RemoteStore
from vault.errors import VaultError
from vault.store import DeleteSpec, MetadataSpec, SmallUpdate, SmallUpload, UpdateSpec, UploadSpec, new_data_id
from vault.store.contract import BlockReader, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Change, checksum
from vault.testing.store.objects import blocks_of, payload
from vault_server import EmbeddedStore

SIZES = (0, 5, 1000, 70_000, 1_100_000)
"""In the register, in a file, in blocks."""


def write(store: Store, first: int) -> None:
    """Objects of all sizes in two units, with names and tags; some updated, deleted and renamed since."""
    for unit in ("a", "b"):
        for number, size in enumerate(SIZES):
            data_id = first + number
            _send(
                store.upload(unit, UploadSpec(data_id, f"{first}/{size}", {"k": f"{number}"}, "bytes")), payload(size)
            )
        small = payload(100, first)
        store.upload_many(unit, [SmallUpload(UploadSpec(first + 10), small, checksum(small))])
    _send(store.update("a", UpdateSpec(first + 3)), payload(80_000, 2))
    store.update_many("a", [SmallUpdate(UpdateSpec(first), b"new", checksum(b"new"))])
    store.set_metadata("a", MetadataSpec(first + 1, name=f"{first}/renamed", tags={"other": "tag"}))
    store.delete_many("b", [DeleteSpec(first + 2), DeleteSpec(first + 4)])
    with store.upload("b", _suspended(first), resumable=True) as suspended:
        suspended.write(next(iter(blocks_of(payload(1_100_000)))))
        suspended.suspend()


def resume(store: Store, first: int) -> None:
    """Goes on with the write that `write` has left."""
    data = payload(1_100_000)
    with store.upload("b", _suspended(first), resumable=True) as writer:
        assert writer.persisted_size == BLOCK_SIZE
        writer.write(list(blocks_of(data))[1])
        writer.commit(len(data), checksum(data))


def _suspended(first: int) -> UploadSpec:
    return UploadSpec(first + 20, request_id=f"suspended {first:06}".encode())


def change(store: Store) -> None:
    """Replaces every third object, deletes every fifth, gives the others tags."""
    for unit in store.list_units():
        for number, info in enumerate(store.list_page(unit, page_size=1000).objects):
            if number % 5 == 4:
                store.delete_many(unit, [DeleteSpec(info.data_id)])
            elif number % 3 == 0:
                _send(store.update(unit, UpdateSpec(info.data_id)), payload(info.size + 1, 3))
            else:
                store.set_metadata(unit, MetadataSpec(info.data_id, tags={"changed": f"{number}"}))


def contents(store: Store) -> dict[str, Any]:
    """Every object with its bytes, read and verified."""
    found: dict[str, Any] = {}
    for unit in store.list_units():
        for info in store.list_page(unit, page_size=1000).objects:
            reader = store.load(unit, info.data_id)
            assert isinstance(reader, BlockReader)
            with reader:
                for block in reader:
                    block.verify(info)
            times = [info.created_at.isoformat(), info.updated_at.isoformat()]
            found[f"{unit}/{info.data_id}"] = [
                *(info.generation, info.revision, info.size, info.checksum, info.datatype, info.name),
                *(dict(info.tags), *times),
            ]
    return {"objects": found, "revision": store.revision, "store": store.capabilities().store_id}


def feed(store: Store) -> list[Any]:
    """Every change of its history."""
    store.list_units()
    last = store.revision
    seen: list[Any] = []
    with store.watch(since=0) as events:
        for event in events:
            if isinstance(event, Change):
                seen.append([event.revision, event.unit, event.data_id, event.kind.name, event.generation, event.name])
            if event.revision >= last:
                return seen
    raise AssertionError("the watch ended")


def upload_one_more(store: Store, unit: str) -> str:
    """What an upload comes to: the reason it is refused for."""
    (outcome,) = store.upload_many(unit, [SmallUpload(UploadSpec(new_data_id()), b"x", checksum(b"x"))])
    return outcome.reason if isinstance(outcome, VaultError) else "stored"


def _send(writer: Any, data: bytes) -> None:
    with writer:
        for block in blocks_of(data):
            writer.write(block)
        writer.commit(len(data), checksum(data))


def main(what: str, place: str, *arguments: str) -> None:
    if what == "at":
        with RemoteStore(place) as remote:
            told = {"contents": contents(remote), "feed": feed(remote), "full": upload_one_more(remote, "full")}
            print(json.dumps(told))
            return
    with EmbeddedStore(Path(place)) as store:
        if what == "write":
            write(store, int(arguments[0]))
        elif what == "resume":
            resume(store, int(arguments[0]))
        elif what == "change":
            change(store)
        print(json.dumps(contents(store)))


if __name__ == "__main__":
    main(*sys.argv[1:])
