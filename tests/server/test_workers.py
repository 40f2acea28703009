"""`vault-grpc serve --workers`: several processes, one directory, one port."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from vault import ConnectionSettings, RemoteVault
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import EmbeddedStore

from tests.server.process import COMMAND, Serve, Served
from tests.server.raw_calls import start, upload_in_two
from tests.vault.places import STRUCTURE, Note, text_of
from tests.waiting import assert_soon


def workers(served: Served) -> list[psutil.Process]:
    """Its worker processes that are there."""
    found = psutil.Process(served.process.pid).children()
    return [each for each in found if _is_alive(each)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the listing and the look
        return False


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def stub_on(stack: ExitStack, served: Served) -> tuple[Any, int]:
    """A stub on a connection of its own, and the pid of the worker that has it."""
    before = {each.laddr.port for each in psutil.Process().net_connections("tcp")}
    channel = stack.enter_context(grpc.insecure_channel(served.address, [("grpc.use_local_subchannel_pool", 1)]))
    stub = VaultServiceStub(channel)
    stub.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)
    ours = {each.laddr.port for each in psutil.Process().net_connections("tcp")} - before
    for worker in workers(served):
        if any(each.raddr and each.raddr.port in ours for each in worker.net_connections("tcp")):
            return stub, worker.pid
    raise AssertionError("no worker has the connection")


def stubs_on_two(stack: ExitStack, served: Served) -> tuple[Any, Any]:
    """Stubs on connections to two different workers."""
    first, pid = stub_on(stack, served)
    for _ in range(100):
        second, other = stub_on(stack, served)
        if other != pid:
            return first, second
    raise AssertionError("every connection went to the same worker")


@pytest.fixture
def two(serve: Serve, tmp_path: Path) -> Served:
    """A server with two workers."""
    return serve(tmp_path / "own", "--workers", "2", "--listen", "127.0.0.1:0", "--grace", "60")


def test_one_line_when_all_are_ready_and_exit_0_at_the_signal(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "localhost:0", env={"VAULT_GRPC_SERVE_WORKERS": "3"})
    assert served.line == f"vault-grpc listening on {served.address}\n"
    started = workers(served)
    assert len(started) == 3
    with ExitStack() as stack:
        stub_on(stack, served)
    code, out, err = served.terminate()
    assert (code, out) == (0, ""), err
    assert "error" not in err, err
    assert are_gone(started)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--workers", "2", "--listen", "unix:sock"), "a unix socket belongs to one process"),
        (("--workers", "0"), "--workers"),
        (
            ("--workers", "2", "--listen", "203.0.113.1:0", "--insecure-plaintext", "--insecure-anonymous"),
            "none of this machine's",
        ),
    ],
)
def test_what_workers_cannot_share_is_refused(arguments: tuple[str, ...], why: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "serve", tmp_path / "own", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_port_of_another_server_is_not_shared_with_it(two: Served, tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "serve", tmp_path / "other", "--workers", "2", "--listen", two.address],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "another program" in done.stderr


def test_what_is_wrong_with_the_directory_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = subprocess.run(
        [COMMAND, "serve", tmp_path / "file", "--workers", "2", "--listen", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_worker_that_dies_is_started_anew_and_clients_go_on(two: Served) -> None:
    with RemoteVault(two.address, STRUCTURE, connection=ConnectionSettings(timeout=30)) as vault:
        for step in range(3):
            killed = workers(two)[step % 2]
            killed.kill()
            assert vault.upload("notes", Note(str(step))) > 0
            assert_soon(lambda: len(workers(two)) == 2 and killed not in workers(two))  # noqa: B023  # called in the loop
        assert len(list(vault.list("notes"))) == 3


def test_workers_do_not_outlive_a_parent_that_was_killed(two: Served) -> None:
    left = workers(two)
    two.process.kill()
    two.process.wait()
    assert_soon(lambda: are_gone(left))


def test_a_running_upload_finishes_when_the_signal_comes(two: Served, tmp_path: Path) -> None:
    go_on = threading.Event()
    with grpc.insecure_channel(two.address) as channel:
        replies = VaultServiceStub(channel).Upload(upload_in_two(7, go_on), timeout=60)
        assert next(replies).persisted_size == 0
        two.process.send_signal(signal.SIGTERM)
        assert_soon(lambda: len(workers(two)) == 1)
        with pytest.raises(subprocess.TimeoutExpired):
            two.process.wait(0.5)
        go_on.set()
        assert [reply.info.size for reply in replies if reply.HasField("info")] == [BLOCK_SIZE + 4]
    assert two.end()[0] == 0
    with EmbeddedStore(tmp_path / "own") as store:
        assert store.check(deep=True).ok


def test_a_second_signal_ends_all_at_once(two: Served) -> None:
    hold = threading.Event()

    def requests() -> Iterator[pb.UploadRequest]:
        yield start(7)
        hold.wait(30)

    left = workers(two)
    with grpc.insecure_channel(two.address) as channel:
        replies = VaultServiceStub(channel).Upload(requests(), timeout=60)
        next(replies)
        two.process.send_signal(signal.SIGINT)
        assert_soon(lambda: len(workers(two)) == 1)
        two.process.send_signal(signal.SIGINT)
        assert two.process.wait(10) == -signal.SIGINT
        assert_soon(lambda: are_gone(left))
        hold.set()
        with pytest.raises(grpc.RpcError):
            list(replies)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file: while it is there, no worker starts that has its folder in its path."""
    (tmp_path / "site").mkdir()
    flag = tmp_path / "broken"
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, sys\n"
        f"if 'vault_server.cli.workers' in sys.orig_argv and os.path.exists({str(flag)!r}):\n"
        "    os._exit(3)\n"
    )
    return flag


@pytest.mark.parametrize("when", ["at first", "later"])
def test_workers_that_cannot_start_are_not_tried_for_ever(
    when: str, broken: Path, serve: Serve, tmp_path: Path
) -> None:
    if when == "at first":
        broken.touch()
    env = {"PYTHONPATH": str(tmp_path / "site")}
    served = serve(tmp_path / "own", "--workers", "2", "--listen", "127.0.0.1:0", env=env)
    if when == "later":
        assert len(workers(served)) == 2
        broken.touch()
        for worker in workers(served):
            worker.kill()
    code, out, err = served.end()
    assert (code, out) == (5, "")
    assert "ended with 3 before it was ready" in err


def test_a_retry_that_lands_on_another_worker_is_applied_once(two: Served) -> None:
    with ExitStack() as stack:
        first, second = stubs_on_two(stack, two)
        spec = pb.UploadSpec(data_id=7, name="a", request_id=b"r" * 16)
        item = pb.UploadManyRequest.Item(spec=spec, data=b"x", checksum=checksum(b"x"))
        request = pb.UploadManyRequest(unit="u", items=[item])
        replies = [stub.UploadMany(request, timeout=20) for stub in (first, second, first)]
        assert replies[0].results[0].info.generation > 0
        assert replies[0].results == replies[1].results == replies[2].results
        assert replies[2].revision == replies[0].revision


def test_an_acknowledged_write_is_seen_through_the_other_worker_at_once(two: Served) -> None:
    with ExitStack() as stack:
        first, second = stubs_on_two(stack, two)
        for data_id in range(1, 101):
            item = pb.UploadManyRequest.Item(
                spec=pb.UploadSpec(data_id=data_id, request_id=os.urandom(16)), data=b"x", checksum=checksum(b"x")
            )
            written = first.UploadMany(pb.UploadManyRequest(unit="u", items=[item]), timeout=20)
            seen = second.Exists(pb.ExistsRequest(unit="u", keys=[pb.Key(data_id=data_id)]), timeout=20)
            assert list(seen.generations) == [written.results[0].info.generation]
            assert seen.revision >= written.revision


def test_clients_spread_over_workers_agree_under_load(two: Served, tmp_path: Path) -> None:
    """Strict readers see every acknowledged write at once, watchers all of them in order; nothing fails."""
    clients, steps = 6, 40
    with ExitStack() as stack:
        vaults = [
            stack.enter_context(RemoteVault(two.address, STRUCTURE, connection=ConnectionSettings(timeout=60)))
            for _ in range(clients)
        ]
        strict = [
            stack.enter_context(
                RemoteVault(two.address, STRUCTURE, consistency="strict", connection=ConnectionSettings(timeout=60))
            )
            for _ in range(clients)
        ]
        watches = [vault.watch("notes") for vault in vaults]
        ids = [vault.upload("notes", Note("-1")) for vault in vaults]

        def work(index: int) -> None:
            for step in range(steps):
                vaults[index].update("notes", ids[index], Note(str(step)))
                assert text_of(strict[index], ids[index]) == str(step)
                assert text_of(vaults[index], ids[index]) == str(step)

        with ThreadPoolExecutor(2 * clients) as threads:
            watching = [
                threads.submit(lambda watch: list(islice(watch, clients * (steps + 1))), watch) for watch in watches
            ]
            for done in [threads.submit(work, index) for index in range(clients)]:
                done.result(120)
            seen = [each.result(60) for each in watching]
        assert all(each == seen[0] for each in seen)
        revisions = [change.revision for change in seen[0]]
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
        for vault in vaults:
            assert_soon(lambda: [text_of(vault, each) for each in ids] == [str(steps - 1)] * clients)  # noqa: B023
    assert two.terminate()[0] == 0
    with EmbeddedStore(tmp_path / "own") as store:
        assert store.check(deep=True).ok
