"""The audit has a line for every write that is allowed, before it is answered; what it cannot note is refused."""

import asyncio
import contextlib
import json
import secrets
import stat
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import RemoteVault
from vault.errors import NotFoundError, StorageError, StorageFullError
from vault.store.values import checksum
from vault.store.write_columns import SmallUploads, new_columns
from vault.v1 import vault_pb2 as pb
from vault.wire.write_columns import write_columns_to_wire
from vault_server import AccessSettings, AsyncServer, EmbeddedStore, MemoryStore
from vault_server.access.append_file import reopen_files
from vault_server.access.audit import AuditLog
from vault_server.rpc.call_audit import READS

from tests.access.identified import IdentityFile, bearer
from tests.faults.filesystems import mounted, why_not
from tests.server.conftest import serve
from tests.server.every_call import SECRET, batch, calls_of, new
from tests.server.process import Serve
from tests.server.raw_calls import say, stub_of, whole
from tests.server.test_workers import stubs_on_two

__all__ = ["serve"]

SERVICE = pb.DESCRIPTOR.services_by_name["VaultService"]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = path.read_text("ascii")  # whatever peers chose
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def ended(call: Any) -> None:
    """Has the call come to its end, whatever that is."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        assert error.code() in (  # noqa: PT017
            grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED,
        ), error  # fmt: skip


@pytest.mark.parametrize("reads", [False, True])
async def test_every_method_that_changes_something_has_a_line_when_it_is_answered_and_reads_by_option(
    reads: bool, store: EmbeddedStore, tmp_path: Path
) -> None:
    path = tmp_path / "audit"
    changing = set()
    async with (
        AsyncServer(store, access=AccessSettings(audit=str(path), audit_reads=reads)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = stub_of(channel)
        await say(stub, whole(SECRET, 1, name="name"))
        seen = len(lines_of(path))
        assert seen == 1
        calls = calls_of(stub)
        assert calls.keys() == {method.name for method in SERVICE.methods}
        for method, begin in calls.items():
            revision = store.revision
            await ended(begin())
            lines = lines_of(path)[seen:]
            seen += len(lines)
            told = [line for line in lines if not line["method"].endswith("/Watch")]  # it comes when the server sees it
            if store.revision != revision:
                changing.add(method)
            if method != "Watch":
                is_read = f"/{SERVICE.full_name}/{method}" in READS
                assert [line["method"].rpartition("/")[2] for line in told] == [method] * (reads or not is_read), method
    assert not {f"/{SERVICE.full_name}/{method}" for method in changing} & READS
    assert len(changing) >= 11
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SECRET[:20].decode() not in path.read_text()


async def test_a_line_says_who_did_what_to_what_and_what_came_of_it(store: EmbeddedStore, tmp_path: Path) -> None:
    path = tmp_path / "audit"
    async with (
        AsyncServer(store, access=AccessSettings(audit=str(path))) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        calls = calls_of(stub_of(channel))
        await say(stub_of(channel), whole(SECRET, 1, name="name"))
        for method in ("PutMany", "Copy", "SetUnitLimits"):
            await calls[method]()
        request = batch(pb.DeleteRequest, {"key": pb.Key(name="name"), "if_generation": 9, **new()})
        await stub_of(channel).Delete(request, metadata=(("traceparent", TRACE),))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await say(stub_of(channel), whole(SECRET, 1, name="name"))
    put, many, copied, limits, deleted, again = lines_of(path)
    assert put["time"].endswith("Z")
    assert put["principal"] == ""
    assert put["address"].startswith("ipv4:127.0.0.1:")
    assert (put["method"], put["unit"], put["keys"], put["items"]) == (
        "/vault.v1.VaultService/Upload", "u", ["name"], 1,
    )  # fmt: skip
    assert (put["outcome"], put["revision"]) == ("OK", 1)
    assert 0 < put["milliseconds"] < 60_000
    assert (many["items"], many["keys"], many["revision"]) == (30, [f"put{n}" for n in range(10)], 31)
    assert (copied["unit"], copied["to_unit"], copied["keys"]) == ("u", "v", [["name", "copied"]])
    assert limits["request"]["limits"] == {"max_objects": "500"}
    assert (deleted["failed"], deleted["reasons"], deleted["trace"]) == (1, ["GENERATION_MISMATCH"], TRACE)
    assert (again["outcome"], again["reason"]) == ("ALREADY_EXISTS", "OBJECT_EXISTS")
    assert (again["unit"], again["keys"]) == ("u", ["name"])
    assert again["request_id"] == dict(refused.value.trailing_metadata())["vault-request-id"]


async def test_what_peers_chose_is_escaped_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    token = f"vt_3f2a_{secrets.token_urlsafe(32)}"
    async with (
        AsyncServer(MemoryStore(), access=AccessSettings(audit=str(path))) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        for wrong in ('a"}\n{"event":"call"', "\x1b[2J\u202e", "x" * 100_000, token, "é" * 5000):
            items = [{"key": pb.Key(name=wrong), **new()}] * 30
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stub_of(channel).Delete(batch(pb.DeleteRequest, *items, unit=wrong))
    assert len(lines_of(path)) == 5
    text = path.read_text()
    assert max(map(len, text.splitlines())) < 40_000
    assert token not in text
    assert "vt_3f2a_***" in text


@pytest.mark.parametrize("best_effort", [False, True])
async def test_what_cannot_be_noted_is_refused_and_goes_on_by_itself(
    best_effort: bool, store: EmbeddedStore, tmp_path: Path
) -> None:
    path = tmp_path / "audit"
    path.symlink_to("/dev/full")
    access = AccessSettings(audit=str(path), audit_best_effort=best_effort)
    async with AsyncServer(store, access=access) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = stub_of(channel)
        for data_id in (1, 2, 3):
            if best_effort:
                await say(stub, whole(SECRET, data_id))
                continue
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await say(stub, whole(SECRET, data_id))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert str(tmp_path) not in str(caught.value)
        assert store.revision == (3 if best_effort else 1)  # the first found out; the others were not begun
        await ended(stub.Load(pb.LoadRequest(unit="u", key=pb.Key(data_id=1))))  # reads go on
        path.unlink()
        reopen_files()
        await say(stub, whole(SECRET, 4))
    told = [
        (line["outcome"], line["revision"]) for line in lines_of(path) if line["event"] == "call" and "revision" in line
    ]
    assert told == [("OK", 1), ("OK", 2), ("OK", 3), ("OK", 4)] if best_effort else [("OK", 1), ("OK", 2)]


@pytest.mark.skipif(bool(why_not("tmpfs")), reason=why_not("tmpfs"))
def test_a_full_disk_of_the_audit_refuses_writes_before_they_are_done_but_deletes(serve: Serve, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "tmpfs", 1) as disk:
        filler = disk.path / "filler"
        served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--audit", disk.path / "audit")
        try:
            with RemoteVault(served.address) as vault:
                unit = vault.unit("u", bytes)
                unit.put("there", b"there")
                filler.write_bytes(bytes(900 << 10))
                with pytest.raises(StorageFullError, match="audit") as refused:
                    unit.put("new", b"new")
                assert refused.value.reason == "AUDIT_FULL"
                with pytest.raises(NotFoundError):
                    unit.get("new")
                unit.delete("there")
                filler.unlink()
                unit.put("new", b"new")
        finally:
            served.terminate()
        told = [(line["method"].rpartition("/")[2], line["outcome"]) for line in lines_of(disk.path / "audit")]
    assert told == [("PutMany", "OK"), ("Delete", "OK"), ("PutMany", "OK")]


async def test_a_batch_in_columns_is_one_line_that_says_what_of_it_failed(store: EmbeddedStore, tmp_path: Path) -> None:
    path = tmp_path / "audit"
    access = AccessSettings(audit=str(path))
    names = [f"n{at}" for at in range(12)]
    items = SmallUploads(new_columns(range(12), [""] * 12, [SECRET] * 12, names, None))
    requests = [secrets.token_bytes(16) for _ in items]
    nameless = SmallUploads((items.data_ids, (None,) * 12, *items.columns[2:4], requests, *items.columns[5:]))
    async with AsyncServer(store, access=access) as server, grpc.aio.insecure_channel(server.address) as channel:
        for each in (items, nameless):
            await stub_of(channel).WriteColumns(write_columns_to_wire("u", each))
        with pytest.raises(grpc.aio.AioRpcError):
            await stub_of(channel).WriteColumns(pb.WriteColumnsRequest(unit="u", data_ids=bytes(15)))
    one, other, bent = (line for line in lines_of(path) if line["event"] == "call")
    assert (one["keys"], one["items"], one["outcome"], one["revision"]) == (names[:10], 12, "OK", 12)
    assert (other["keys"], other["failed"], other["reasons"]) == (list(items.data_ids[:10]), 12, ["OBJECT_EXISTS"])
    assert (bent["items"], bent["outcome"]) == (1, "INVALID_ARGUMENT")
    assert "failed" not in one
    assert SECRET.decode() not in path.read_text()


def test_an_audit_that_cannot_be_opened_keeps_the_server_from_starting(serve: Serve, tmp_path: Path) -> None:
    for workers in ("1", "2"):
        served = serve(
            tmp_path / "own", "--listen", "127.0.0.1:0", "--workers", workers, "--audit", tmp_path / "no" / "audit"
        )
        code, _, err = served.end()
        assert code == 1
        assert "cannot write the audit" in err


async def test_who_may_not_is_there_once_and_then_counted_and_what_he_asked_for_is_no_write(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    identities = IdentityFile(tmp_path)
    reader = bearer(identities.add("reader", "docs:read"))
    path = tmp_path / "audit"
    access = AccessSettings(tokens=str(identities.path), audit=str(path))
    async with AsyncServer(store, access=access) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = stub_of(channel)
        for metadata in [reader] * 20 + [bearer("vt_3f2a_" + "x" * 43)] * 10 + [()] * 5:
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Delete(batch(pb.DeleteRequest, {"key": pb.Key(name="n"), **new()}), metadata=tuple(metadata))
        await stub.Stat(pb.StatRequest(unit="docs", keys=[pb.Key(name="n")]), metadata=tuple(reader))
    lines = lines_of(path)
    assert {line["event"] for line in lines} <= {"refused", "refusals"}
    first = [line for line in lines if line["event"] == "refused"]
    assert all(line["address"] == "ipv4:127.0.0.1" and line["method"].endswith("/Delete") for line in first)
    by_reason: Counter[tuple[str, str]] = Counter((line["principal"], line["reason"]) for line in first)
    for line in lines:
        by_reason.update({(line["principal"], reason): count for reason, count in line.get("reasons", {}).items()})
    assert by_reason == {("reader", "PERMISSION_DENIED"): 20, ("", "UNAUTHENTICATED"): 15}
    assert len(lines) < 20


def test_workers_write_whole_lines_to_one_file(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "audit"
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--workers", "2", "--audit", path)
    with ExitStack() as stack, ThreadPoolExecutor(8) as threads:
        stubs = stubs_on_two(stack, served)

        def put(number: int) -> None:
            spec = {"name": f"{number:04}", "data_id": number + 1, **new()}
            item: Any = {"put": spec, "data": SECRET, "checksum": checksum(SECRET)}
            stubs[number % 2].PutMany(pb.PutManyRequest(unit="u", items=[item]), timeout=60)

        list(threads.map(put, range(400)))
        lines = lines_of(path)
    assert sorted(chain.from_iterable(line["keys"] for line in lines)) == [f"{number:04}" for number in range(400)]
    assert {line["worker"] for line in lines} == {0, 1}
    assert len({line["request_id"] for line in lines}) == 400


@given(refusals=st.lists(st.tuples(st.sampled_from(["", "ann", "bob"]), st.integers(0, 3)), max_size=60))
def test_of_refusals_the_first_is_there_and_all_are_counted(
    refusals: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit"

    async def refuse() -> None:
        log = AuditLog(str(path))
        for principal, address in refusals:
            log.refused(principal, f"10.0.0.{address}", {"reason": "PERMISSION_DENIED"})
        log.close()

    asyncio.run(refuse())
    first: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for line in lines_of(path):
        who = (line["principal"], line["address"])
        first[who] += line["event"] == "refused"
        counts[who] += line.get("count", 1)
    assert all(times == 1 for times in first.values())
    assert counts == Counter((principal, f"10.0.0.{address}") for principal, address in refusals)


async def test_a_flood_of_refusals_from_everywhere_is_a_bounded_number_of_lines(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit"))
    for number in range(5000):
        log.refused("", f"2001:db8::{number:x}", {"reason": "UNAUTHENTICATED"})
    log.close()
    lines = lines_of(tmp_path / "audit")
    assert len(lines) < 1100
    assert sum(line.get("count", 1) for line in lines) == 5000
    with pytest.raises(StorageError):
        log.write({"event": "call"})
