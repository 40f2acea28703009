"""`vault-grpc serve` as a process: its settings, its one line, its logs, its end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import EmbeddedStore

from tests.server.process import COMMAND, Serve
from tests.server.raw_calls import block, commit, start, upload_in_two


def assert_refused(*arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """The one line of a `serve` that ends with exit code 2 before it begins."""
    done = subprocess.run(
        [COMMAND, "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def capabilities(address: str) -> pb.GetCapabilitiesResponse:
    with grpc.insecure_channel(address) as channel:
        return VaultServiceStub(channel).GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)


def test_it_prints_one_line_serves_and_ends_with_0(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0")
    assert served.line == f"vault-grpc listening on {served.address}\n"
    assert capabilities(served.address).block_size == BLOCK_SIZE
    code, out, _ = served.terminate()
    assert (code, out) == (0, "")


def test_it_serves_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", f"unix:{tmp_path / 'sock'}")
    assert served.address == f"unix:{tmp_path / 'sock'}"
    assert capabilities(served.address).store_id
    assert served.terminate()[0] == 0


def test_a_running_upload_finishes_when_sigterm_comes(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--grace", "30")
    go_on = threading.Event()
    with grpc.insecure_channel(served.address) as channel:
        replies = VaultServiceStub(channel).Upload(upload_in_two(7, go_on), timeout=60)
        assert next(replies).persisted_size == 0
        served.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            served.process.wait(0.5)
        go_on.set()
        assert [reply.info.size for reply in replies if reply.HasField("info")] == [BLOCK_SIZE + 4]
    assert served.end()[0] == 0
    with EmbeddedStore(tmp_path / "own") as store:
        assert store.exists_many("u", [7]) != [0]
        assert store.check(deep=True).ok


def test_what_does_not_finish_within_the_grace_is_not_stored(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--grace", "0.2")
    hold = threading.Event()

    def requests() -> Iterator[pb.UploadRequest]:
        yield start(7)
        hold.wait(30)

    with grpc.insecure_channel(served.address) as channel:
        replies = VaultServiceStub(channel).Upload(requests(), timeout=60)
        assert next(replies).persisted_size == 0
        assert served.terminate()[0] == 0
        hold.set()
        with pytest.raises(grpc.RpcError):
            list(replies)
    with EmbeddedStore(tmp_path / "own") as store:
        assert store.list_units() == []


def test_a_second_signal_ends_it_at_once(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--grace", "60", "--log-format", "json")
    hold = threading.Event()

    def requests() -> Iterator[pb.UploadRequest]:
        yield start(7)
        hold.wait(30)

    with grpc.insecure_channel(served.address) as channel:
        replies = VaultServiceStub(channel).Upload(requests(), timeout=60)
        next(replies)
        served.process.send_signal(signal.SIGINT)
        assert served.process.stderr is not None
        while json.loads(served.process.stderr.readline())["event"] != "draining":
            continue
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(10) == -signal.SIGINT
        hold.set()
        with pytest.raises(grpc.RpcError):
            list(replies)


def test_logs_are_one_json_object_a_line_on_standard_error(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug")
    capabilities(served.address)
    _, _, err = served.terminate()
    lines = [json.loads(line) for line in err.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "serving"
    assert events[-1] == "stopped"
    assert "draining" in events
    call = next(line for line in lines if line["event"] == "rpc")
    assert (call["rpc"], call["code"], call["level"]) == ("/vault.v1.VaultService/GetCapabilities", "OK", "debug")
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_logged_traceback_does_not_show_what_variables_hold(style: str) -> None:
    code = f"""
import logging
from vault_server.cli.logging_config import configure
configure({style!r}, "info")
def fail():
    data = b"".join([b"an object's ", b"bytes"])
    raise ValueError("no")
try:
    fail()
except ValueError:
    logging.getLogger("vault_server").exception("failed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "ValueError" in done.stderr
    assert "fail" in done.stderr
    assert "object's bytes" not in done.stderr


class TestSettings:
    """Flags win over the environment, the environment over the file."""

    def units(self, address: str) -> list[str]:
        return list(capabilities(address).allowed_units)

    def test_flags_over_environment_over_file(self, serve: Serve, tmp_path: Path) -> None:
        file = tmp_path / "server.toml"
        file.write_text('listen = "127.0.0.1:0"\nunits = ["file"]\ngrace = 5\nlog_format = "json"\n')
        env = {"VAULT_GRPC_CONFIG": str(file)}
        assert self.units(serve(tmp_path / "own", env=env).address) == ["file"]
        env["VAULT_GRPC_SERVE_UNITS"] = "a b"
        assert self.units(serve(tmp_path / "own", env=env).address) == ["a", "b"]
        served = serve(tmp_path / "own", "--unit", "flag", env=env)
        assert self.units(served.address) == ["flag"]
        _, _, err = served.terminate()
        assert json.loads(err.splitlines()[0])["event"] == "serving"

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("color = 1\nlisten = ':'", "unknown 'color'; known are listen"),
            (
                "max-streams = 1\nretenton = 5",
                "unknown 'max-streams', 'retenton' (did you mean 'max_streams', 'retention'?)",
            ),
            ("listen = 5", "listen is 5; expected a text"),
            ("grace = true", "grace is True; expected a number"),
            ("units = [1]", "units is a list of names"),
            ("insecure_plaintext = 'no'", "insecure_plaintext is 'no'; expected true or false"),
            ("listen = ", "not TOML"),
            ("log_format = 'xml'", "log_format|log-format"),
            ("grace = -1", "grace"),
        ],
    )
    def test_a_file_that_is_wrong_is_told_what_is(self, text: str, why: str, tmp_path: Path) -> None:
        file = tmp_path / "server.toml"
        file.write_text(text)
        line = assert_refused(tmp_path / "own", "--config", file)
        assert any(each in line for each in why.split("|")), line
        assert not (tmp_path / "own").exists()

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        assert "none.toml" in assert_refused(tmp_path / "own", "--config", tmp_path / "none.toml")

    @pytest.mark.parametrize(
        "listen", ["0.0.0.0:0", "[::]:0", "203.0.113.1:50051", "no-such-host.invalid:0", "nonsense", "127.0.0.1:70000"]
    )
    def test_what_is_not_loopback_is_refused(self, listen: str, tmp_path: Path) -> None:
        assert listen in assert_refused(tmp_path / "own", "--listen", listen)
        assert not (tmp_path / "own").exists()

    @pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
    def test_unless_both_insecure_ways_are_allowed(self, listen: str, serve: Serve, tmp_path: Path) -> None:
        served = serve(tmp_path / "own", "--listen", listen, "--insecure-plaintext", "--insecure-anonymous")
        assert capabilities(f"127.0.0.1:{served.address.rpartition(':')[2]}").store_id

    def test_a_bad_unit_is_refused(self, tmp_path: Path) -> None:
        assert "bad unit name" in assert_refused(tmp_path / "own", "--listen", "127.0.0.1:0", "--unit", "../x")

    def test_relaxed_durability_is_taken(self, serve: Serve, tmp_path: Path) -> None:
        served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--durability", "relaxed")
        assert capabilities(served.address).store_id


@pytest.mark.parametrize("what", ["another program", "is a file"])
def test_what_keeps_it_from_starting_is_one_line(what: str, serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0")
    (tmp_path / "file").write_text("x")
    name, listen = ("other", served.address) if what == "another program" else ("file", "127.0.0.1:0")
    done = subprocess.run(
        [COMMAND, "serve", tmp_path / name, "--listen", listen], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert what in done.stderr


def test_a_killed_server_leaves_what_it_acknowledged(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", f"unix:{tmp_path / 'sock'}")
    data = b"y" * (BLOCK_SIZE + 1)
    with grpc.insecure_channel(served.address) as channel:
        requests = [start(7), block(0, data[:BLOCK_SIZE]), block(BLOCK_SIZE, data[BLOCK_SIZE:]), commit(len(data))]
        *_, last = VaultServiceStub(channel).Upload(iter(requests), timeout=60)
    served.process.kill()
    served.end()
    again = serve(tmp_path / "own", "--listen", f"unix:{tmp_path / 'sock'}")
    with grpc.insecure_channel(again.address) as channel:
        loaded = VaultServiceStub(channel).Load(pb.LoadRequest(unit="u", key=pb.Key(data_id=7)), timeout=60)
        assert checksum(b"".join(part.block.data for part in loaded)) == last.info.checksum
