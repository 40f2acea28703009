"""What the storage fails with is told to peers without a path of the server, and kept whole in its log."""

import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault.errors import StorageError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import UploadSpec, checksum
from vault.testing.store.objects import blocks_of, payload
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncServer, EmbeddedStore
from vault_server.rpc.public_errors import public_error

from tests.server.conftest import serve
from tests.server.process import Serve
from tests.server.raw_calls import Stub, block, commit, start, stub_of

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
    small: dict[str, Any] = {"data": DATA, "checksum": checksum(DATA)}

    def new() -> dict[str, Any]:
        return {"request_id": secrets.token_bytes(16)}

    update = pb.UpdateManyRequest.Item(spec=pb.UpdateSpec(key=KEY, **new()), **small)
    upload = pb.UploadManyRequest.Item(spec=pb.UploadSpec(data_id=secrets.randbelow(1 << 60) + 9, **new()), **small)
    calls: list[Any] = [
        stub.Load(pb.LoadRequest(unit="u", key=KEY)),
        stub.LoadMany(pb.LoadManyRequest(unit="u", items=[pb.LoadManyRequest.Item(key=KEY)])),
        stub.Exists(pb.ExistsRequest(unit="u", keys=[KEY, pb.Key(name="name")])),
        stub.Stat(pb.StatRequest(unit="u", keys=[KEY])),
        stub.List(pb.ListRequest(unit="u")),
        stub.ListUnits(pb.ListUnitsRequest()),
        stub.UploadMany(pb.UploadManyRequest(unit="u", items=[upload])),
        stub.UpdateMany(pb.UpdateManyRequest(unit="u", items=[update])),
        stub.SetMetadata(pb.SetMetadataRequest(unit="u", key=KEY, name="other", **new())),
        stub.Upload(iter([start(secrets.randbelow(1 << 60) + 9), block(0, payload(BLOCK_SIZE)), commit(BLOCK_SIZE)])),
        stub.GetWriteStatus(pb.GetWriteStatusRequest(unit="u", **new())),
        stub.AbortWrite(pb.AbortWriteRequest(unit="u", **new())),
        stub.Delete(pb.DeleteRequest(unit="u", items=[pb.DeleteRequest.Item(key=KEY, **new())])),
        stub.GetCapabilities(pb.GetCapabilitiesRequest()),
    ]
    told: list[bytes] = []
    for call in calls:
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
