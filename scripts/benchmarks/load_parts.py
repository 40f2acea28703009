"""What an object of 1 KiB costs in each part of a `load_many`, without the RPC around it.

    python -m scripts.benchmarks.load_parts [DIRECTORY]

Processor time in microseconds an object, for 1,000 objects at once, the least of several runs; and a bare SELECT of the
same bytes with Python's sqlite3, which is what the register stands on.
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Final

from vault import BytesWrapper, Vault
from vault.store.values import LoadItem
from vault.v1 import vault_pb2 as pb
from vault.wire import messages
from vault_server import EmbeddedStore

OBJECTS: Final = 1000
UNIT: Final = "bench"
SELECT: Final = (
    "SELECT o.size, c.data FROM objects o JOIN contents c ON c.number = o.number WHERE o.unit = ? AND o.data_id = ?"
)


def measure(name: str, part: Callable[[], object]) -> None:
    times = []
    for _ in range(20):
        began = time.process_time()
        part()
        times.append(time.process_time() - began)
    print(f"{name:44} {min(times) / OBJECTS * 1e6:6.2f}")


def parts(store: EmbeddedStore, ids: list[int]) -> None:
    items = [LoadItem(data_id) for data_id in ids]
    found = store.load_many(UNIT, items)

    def request() -> pb.LoadManyRequest:
        message = pb.LoadManyRequest(unit=UNIT)
        for item in items:
            messages.fill_load_item(message.items.add(), item)
        return message

    def reply() -> pb.LoadManyResponse:
        message = pb.LoadManyResponse()
        for result in found:
            messages.fill_load_result(message.items.add(), result)
        return message

    asked, answered = request().SerializeToString(), reply()
    raw = answered.SerializeToString()
    received = pb.LoadManyResponse.FromString(raw)
    measure("client: fill the request", request)
    measure(
        "server: parse it",
        lambda: [messages.load_item_from_wire(item) for item in pb.LoadManyRequest.FromString(asked).items],
    )
    measure("server: read the register", lambda: store.load_many(UNIT, items))
    measure("server: fill the reply", reply)
    measure("server: serialise it", answered.SerializeToString)
    measure("client: parse it", lambda: pb.LoadManyResponse.FromString(raw))
    measure("client: its values", lambda: [messages.load_result_from_wire(item) for item in received.items])
    register = sqlite3.connect(store.directory / "register.db", isolation_level=None)
    measure("sqlite3 alone", lambda: [register.execute(SELECT, (UNIT, data_id)).fetchone() for data_id in ids])
    register.close()


def main() -> None:
    base = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=base) as folder, EmbeddedStore(folder) as store:
        with Vault(store, {UNIT: (BytesWrapper, 0)}, cache=False) as vault:
            ids = vault.upload_many(UNIT, [BytesWrapper(os.urandom(1024)) for _ in range(OBJECTS)])
        parts(store, ids)


if __name__ == "__main__":
    main()
