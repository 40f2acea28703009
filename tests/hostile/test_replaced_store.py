"""Another store answers at the address: nobody goes on with it as if it were the one before."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from vault import ConnectionSettings, FeedError, RemoteVault, VaultError
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError, InvalidArgumentError
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, SmallUpload, UploadSpec
from vault.store.values import checksum
from vault.testing.store.objects import blocks_of
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.vault.places import STRUCTURE, following, text_of
from tests.waiting import assert_soon

DATA = bytes(range(256)) * (16 * BLOCK_SIZE // 256)
OTHER = bytes(reversed(DATA))


class Address:
    """Where one of two stores is served, and then the other."""

    def __init__(self, folder: Path) -> None:
        self.first = EmbeddedStore(folder / "first")
        self.second = EmbeddedStore(folder / "second")
        self._servers = Server(self.first), Server(self.second)
        for server in self._servers:
            server.start()
        self.proxy = Proxy(self._servers[0].address)
        self.proxy.start()
        self.address = self.proxy.address

    def replace(self) -> None:
        self.proxy.target = self._servers[1].address
        self.proxy.cut()

    def close(self) -> None:
        self.proxy.close()
        for server in self._servers:
            server.stop(0)
        self.first.close()
        self.second.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Address]:
    place = Address(tmp_path)
    yield place
    place.close()


def put(store: EmbeddedStore | RemoteStore, data_id: int, data: bytes, unit: str = "notes") -> None:
    with store.upload(unit, UploadSpec(data_id, None, {}, "Note")) as writer:
        for block in blocks_of(data):
            writer.write(block)
        writer.commit(len(data), checksum(data))


def test_a_subscription_does_not_pass_over_to_another_store(served: Address) -> None:
    put(served.first, 1, b"1")
    for data_id in range(101, 110):
        put(served.second, data_id, b"other")
    with (
        RemoteVault(served.address, STRUCTURE, connection=ConnectionSettings(timeout=5)) as vault,
        vault.watch("notes", since=0) as changes,
    ):
        assert next(changes).data_id == 1
        put(served.first, 2, b"2")
        assert next(changes).revision == 2
        served.replace()
        for _ in range(2):  # the second attempt is told the same
            with pytest.raises(FeedError, match="another store") as caught:
                next(changes)
            assert caught.value.reason == "OTHER_STORE"
        assert changes.revision == 2


def test_a_cache_keeps_nothing_of_a_store_that_was_replaced(served: Address) -> None:
    put(served.first, 1, b"of the first")
    put(served.second, 1, b"of the second")
    put(served.second, 2, b"more")
    with RemoteVault(served.address, STRUCTURE, connection=ConnectionSettings(timeout=5)) as vault:
        following(vault)
        assert text_of(vault, 1) == "of the first"
        served.replace()
        assert_soon(lambda: vault.cache_stats().entries == 0)
        assert text_of(vault, 1) == "of the second"


@pytest.mark.parametrize("other", [OTHER, DATA])
def test_a_reader_goes_on_at_another_store_only_with_the_same_bytes(served: Address, other: bytes) -> None:
    put(served.first, 1, DATA)
    put(served.second, 1, other)
    with RemoteStore(served.address, ConnectionSettings(timeout=5)) as remote:
        reader = remote.load("notes", 1)
        assert isinstance(reader, BlockReader)
        with reader:
            blocks = iter(reader)
            found = [next(blocks)]
            served.replace()
            if other == DATA:
                found += blocks
                assert b"".join(bytes(block.data) for block in found) == DATA
            else:
                with pytest.raises(ConflictError, match="another store"):
                    found += blocks


def test_an_upload_that_another_store_takes_up_is_there_whole_or_not_at_all(served: Address) -> None:
    lost: VaultError | None = None
    with RemoteVault(served.address, STRUCTURE, connection=ConnectionSettings(timeout=5)) as vault:
        try:
            with vault.open_writer("notes", data_id=1) as file:
                for start in range(0, len(DATA), BLOCK_SIZE):
                    if start == 9 * BLOCK_SIZE:
                        served.replace()
                    file.write(DATA[start : start + BLOCK_SIZE])
        except VaultError as error:
            lost = error
    found = served.second.stat_many("notes", [1])[0]
    if lost is None:
        assert found is not None
        assert found.checksum == checksum(DATA)
    else:
        assert (lost.reason, found) == ("WRITE_LOST", None)
    assert served.first.stat_many("notes", [1]) == [None]


def test_a_listing_does_not_go_on_at_another_store(served: Address) -> None:
    for store in (served.first, served.second):
        items = [SmallUpload(UploadSpec(data_id), b"x", checksum(b"x")) for data_id in range(1, 1101)]
        store.upload_many("notes", items)
    served.second.delete_many("notes", [DeleteSpec(1)])
    with RemoteVault(served.address, STRUCTURE, connection=ConnectionSettings(timeout=5)) as vault:
        listed = vault.list("notes")
        next(listed)
        served.replace()
        with pytest.raises(InvalidArgumentError, match="page token"):
            list(listed)


def test_a_download_at_another_store_is_that_stores_own(served: Address) -> None:
    """What begins after the change is of the store that answers: there is nothing to compare with."""
    put(served.first, 1, b"of the first")
    put(served.second, 1, b"of the second")
    with RemoteVault(served.address, STRUCTURE, connection=ConnectionSettings(timeout=5)) as vault:
        served.replace()
        target = io.BytesIO()
        vault.download_file("notes", 1, target)
        assert target.getvalue() == b"of the second"
