"""What the storage fails with is told to peers without a path of the server, and kept whole in its log."""

import logging
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from vault.errors import StorageError
from vault.store.specs import UploadSpec
from vault.testing.store.objects import blocks_of, payload
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncServer, EmbeddedStore
from vault_server.rpc.public_errors import public_error

from tests.server.conftest import serve
from tests.server.every_call import calls_of
from tests.server.process import Serve
from tests.server.raw_calls import Stub, stub_of

__all__ = ["serve"]

DATA = payload(100_000)
KEY = pb.Key(data_id=1)


def fill(store: EmbeddedStore) -> None:
    with store.upload("u", UploadSpec(1, "name")) as writer:
        for each in blocks_of(DATA):
            writer.write(each)
        writer.commit(len(DATA))


async def answers(stub: Stub) -> list[bytes]:
    """What every RPC answers, as bytes, statuses with their details."""
    told: list[bytes] = []
    for begin in calls_of(stub).values():
        call = begin()
        try:
            if hasattr(call, "__aiter__"):
                told += [reply.SerializeToString() async for reply in call]
            else:
                told.append((await call).SerializeToString())
        except grpc.aio.AioRpcError as error:
            details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
            told.append((error.details() or "").encode() + bytes(details))
    return told


def lose_the_bytes(root: Path) -> None:
    for file in root.rglob("*.vault"):
        file.unlink()
        file.symlink_to(file)


def damage_the_register(root: Path) -> None:
    for name in ("register.db", "register.db-wal"):
        register = root / name
        with register.open("r+b") as file:
            file.write(b"no database" * (register.stat().st_size // 11))


def lose_the_register(root: Path) -> None:
    (root / "register.db").unlink()


def lose_the_directory(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


@pytest.mark.parametrize("fail", [lose_the_bytes, damage_the_register, lose_the_register, lose_the_directory])
async def test_no_answer_names_a_path_of_the_server(
    tmp_path: Path, fail: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vault_server.rpc")
    root = tmp_path / "the store's (own) place"
    with EmbeddedStore(root) as store:
        fill(store)
        async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
            assert not [told for told in await answers(stub_of(channel)) if str(tmp_path).encode() in told]
            fill(store)
            fail(root)
            told = await answers(stub_of(channel))
            told += await answers(stub_of(channel))
    for each in told:
        assert str(tmp_path).encode() not in each
        assert b".vault" not in each
    failures = [vars(record)["detail"] for record in caplog.records if "detail" in vars(record)]
    assert failures or fail is lose_the_register  # it goes on with what it has open
    if fail is lose_the_bytes:
        assert any(".vault)" in each for each in failures)


async def test_a_full_disk_is_told_without_its_path(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path / "store", "--listen", "127.0.0.1:0", before="ulimit -f 256; trap '' XFSZ")
    async with grpc.aio.insecure_channel(server.address) as channel:
        told = await answers(stub_of(channel))
    assert any(b"STORAGE_FULL" in each for each in told)
    assert not [each for each in told if str(tmp_path).encode() in each]


def test_the_cause_stays_and_embedded_the_path(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        fill(store)
        lose_the_bytes(store.directory)
        with pytest.raises(StorageError) as caught:
            store.load("u", 1)
    assert "u/1.1." in str(caught.value)
    told = public_error(caught.value)
    assert str(told) == "could not open object 1 of unit 'u': Too many levels of symbolic links"
    assert (type(told), told.reason, told.context) == (StorageError, "STORAGE_FAILED", {"errno": "ELOOP"})
