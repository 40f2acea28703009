"""A token that was planted is in nothing that comes out: logs, errors, reprs, tracebacks, the audit, processes."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import pickle
import re
import secrets
import stat
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import grpc
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import AsyncRemoteVault, ConnectionSettings, RemoteVault
from vault._escaping import redact
from vault.errors import InvalidArgumentError, UnauthenticatedError, VaultError
from vault.store.registry import open_store
from vault.v1 import vault_pb2 as pb
from vault_server import AccessSettings, AsyncServer, EmbeddedStore, MemoryStore, Server
from vault_server.cli.logging_config import configure

from tests.access.identified import IdentityFile, bearer
from tests.cli.program import Inside
from tests.server.conftest import serve
from tests.server.every_call import batch, new
from tests.server.process import Serve
from tests.server.raw_calls import stub_of
from tests.server.test_workers import workers

__all__ = ["serve"]

HERE = __file__


def planted(name: str = "3f2a") -> str:
    return f"vt_{name}_{secrets.token_urlsafe(32)}"


def secret_of(token: str) -> str:
    """What must not come out: all but the id."""
    return re.sub("^vt_(3f2a_|d474_|e0_|[0-9a-f]{12}_)?", "", token)


def _is_given_to_settings(frame: FrameType) -> bool:
    """Whether it is the constructor of ConnectionSettings, whose argument is what the caller gave, as it was."""
    return frame.f_code.co_name == "__init__" and isinstance(frame.f_locals.get("self"), ConnectionSettings)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # of what is half made
        return f"no repr: {error}"


class Shown:
    """All that an error shows to whoever prints, logs or sends it."""

    def __init__(self, error: BaseException) -> None:
        self.parts: dict[str, str] = {}
        seen: list[BaseException] = []
        stack: list[BaseException | None] = [error]
        while stack:
            one = stack.pop()
            if one is None or one in seen:
                continue
            seen.append(one)
            stack += [one.__cause__, one.__context__]
            name = f"{len(seen)} {type(one).__name__}"
            # Without the frames of this test, which plants it.
            self.parts[f"{name}: locals"] = "\n".join(
                f"{frame.f_code.co_name}: {variable} = {_repr(value)}"
                for frame, _ in traceback.walk_tb(one.__traceback__)
                if "/tests/" not in frame.f_code.co_filename and not _is_given_to_settings(frame)
                for variable, value in frame.f_locals.items()
            )
            self.parts[f"{name}: text"] = f"{one} {one!r} {one.args!r} {getattr(one, '__notes__', '')}"
            if isinstance(one, VaultError):
                self.parts[f"{name}: context"] = repr(one.context)
                self.parts[f"{name}: pickle"] = pickle.dumps(one, 0).decode("latin-1")

    def assert_without(self, token: str, *, data: bool = False) -> None:
        """`data`: It was the name of something, so variables have it."""
        for name, text in self.parts.items():
            if data and name.endswith("locals"):
                continue
            assert secret_of(token) not in text, (name, text)


WAYS: dict[str, Callable[[str, Path, pytest.MonkeyPatch], dict[str, Any]]] = {}


def way(function: Callable[[str, Path, pytest.MonkeyPatch], dict[str, Any]]) -> Any:
    WAYS[function.__name__] = function
    return function


@way
def text(token: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"token": token}


@way
def file(token: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    (folder / "token").write_text(token)
    return {"token": folder / "token"}


@way
def function(token: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"token": lambda: token}


@way
def environment(token: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setenv("VAULT_GRPC_TOKEN", token)
    return {}


@way
def file_of_the_environment(token: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    (folder / "token").write_text(token)
    patch.setenv("VAULT_GRPC_TOKEN_FILE", str(folder / "token"))
    return {}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[Server, IdentityFile]]:
    """A server that asks who calls."""
    identities = IdentityFile(tmp_path)
    identities.add("reader", "docs:read,list")
    with MemoryStore() as store, Server(store, access=AccessSettings(tokens=str(identities.path))) as server:
        yield server, identities


@pytest.mark.parametrize("given", WAYS)
def test_what_a_client_shows_of_a_call_that_is_refused(
    given: str, asked: tuple[Server, IdentityFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    server, identities = asked
    for token in (planted(), f"x{planted()}", identities.add("reader")):
        data = planted("d474")
        options = WAYS[given](token, tmp_path, monkeypatch)
        connection = ConnectionSettings(timeout=5, **options)
        with RemoteVault(server.address, connection=connection) as vault:
            for call in (
                lambda: vault.unit("other", bytes).upload(b"object"),  # called at once
                lambda: vault.exists("a/b", 1),
                lambda: next(iter(vault.list(data))),  # noqa: B023  # a listing of a unit of that name
                lambda: vault.unit("docs", bytes).get(data),  # noqa: B023
                lambda: next(iter(vault.watch("docs", since=0))),
            ):
                with pytest.raises((VaultError, StopIteration)) as caught:
                    call()
                Shown(caught.value).assert_without(token)
                Shown(caught.value).assert_without(data, data=True)
            for each in (connection, vault, vars(vault)):
                assert secret_of(token) not in repr(each)
            assert secret_of(token) not in _reprs_of_ours()
    assert secret_of(token) not in caplog.text


def _reprs_of_ours() -> str:
    """Of every object of the client that there is, as a debugger shows it."""
    found = []
    for each in gc.get_objects():
        module = str(type(each).__module__)  # some libraries' classes have something else there
        if module.startswith("vault.") and not module.startswith("vault.v1"):
            with contextlib.suppress(Exception):
                found.append(repr(each))
    return "\n".join(found)


@pytest.mark.parametrize("given", WAYS)
async def test_what_an_async_client_shows_of_a_call_that_is_refused(
    given: str, asked: tuple[Server, IdentityFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = planted()
    connection = ConnectionSettings(timeout=5, **WAYS[given](token, tmp_path, monkeypatch))
    async with AsyncRemoteVault(asked[0].address, connection=connection) as vault:
        for call in (
            lambda: vault.exists("docs", 1),
            lambda: vault.unit("docs", bytes).upload(b"1"),
            lambda: vault.load("docs", 1),
        ):
            with pytest.raises(UnauthenticatedError) as caught:
                await call()
            Shown(caught.value).assert_without(token)


@pytest.mark.parametrize("given", WAYS)
@pytest.mark.parametrize("wrong", ["\n", "é", " and more", "x" * 9000])
def test_what_is_shown_of_a_token_that_can_be_none(
    given: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = planted() + wrong + "1"
    with pytest.raises(VaultError) as caught, MemoryStore() as store, Server(store) as server:
        connection = ConnectionSettings(timeout=2, **WAYS[given](token, tmp_path, monkeypatch))
        with open_store(f"grpc://{server.address}", connection) as opened:
            opened.list_units()
    Shown(caught.value).assert_without(token[:-10])


@pytest.mark.parametrize(
    "location", ["grpc://203.0.113.1:1", "grpc://127.0.0.1:1?token={}", "grpc://{}@127.0.0.1:1", "{}"]
)
def test_what_is_shown_of_an_address_that_it_cannot_be_sent_to_or_is_in(location: str) -> None:
    token = planted()
    with pytest.raises(VaultError) as caught:
        open_store(location.format(token), ConnectionSettings(timeout=1, token=token)).list_units()
    Shown(caught.value).assert_without(token, data="{}" in location)  # variables have the address as it was given


def test_what_the_command_shows(asked: tuple[Server, IdentityFile]) -> None:
    token = planted()
    program = Inside(f"grpc://{asked[0].address}")
    for arguments in (
        ["ls", "--unit", "docs"], ["admin", "whoami"], ["admin", "tokens"], ["ls", "--unit", token],
        ["get", token, "--unit", "docs"], ["ls", "--vault", f"grpc://127.0.0.1:1?token={token}", "-u", "docs"],
        ["ls", "--token", token],
    ):  # fmt: skip
        done = program.run(*arguments, env={"VAULT_GRPC_TOKEN": token, "VAULT_GRPC_TRACEBACK": "1"})
        assert done.returncode != 0
        assert secret_of(token).encode() not in done.stdout + done.stderr, arguments


@given(
    before=st.text(max_size=20), after=st.text(max_size=20), name=st.from_regex("[0-9a-z]{1,32}", fullmatch=True),
    secret=st.from_regex("[A-Za-z0-9_-]{43}", fullmatch=True),
)  # fmt: skip
def test_of_a_token_only_its_id_is_left_wherever_it_stands(before: str, after: str, name: str, secret: str) -> None:
    shown = redact(f"{before}vt_{name}_{secret}{after}")
    assert secret not in shown
    assert f"vt_{name}_***" in shown or f"vt_{name[:0]}" in shown
    error = InvalidArgumentError(f"{before} vt_{name}_{secret}", unit=f"vt_{name}_{secret}")
    assert secret not in f"{error} {error.context} {pickle.dumps(error)!r}"
    assert redact(before) == before or "vt_" in before


@pytest.mark.parametrize("style", ["json", "console"])
def test_the_sink_redacts_whatever_reaches_it(style: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = planted()
    root = logging.getLogger()
    kept = root.handlers[:], root.level, [logging.getLogger(name).level for name in ("vault", "vault_server")]
    log = configure(style, "debug", str(tmp_path / "log"))
    assert log is not None
    try:
        logger = logging.getLogger("vault_server.test")
        logger.debug("text %s", token, extra={"field": token, "nested": {"list": [token]}, token: 1})
        logging.getLogger("somebody.else").error("Authorization: Bearer %s", token)
        try:
            int(token)
        except ValueError:
            logger.exception("failed")
    finally:
        logging.captureWarnings(capture=False)
        log.close()
        root.handlers[:], root.level = kept[:2]
        for name, level in zip(("vault", "vault_server"), kept[2], strict=True):
            logging.getLogger(name).setLevel(level)
    written = (tmp_path / "log").read_text()
    assert len(written) > 500
    assert secret_of(token) not in written
    if style == "json":
        assert len([json.loads(line) for line in written.splitlines()]) == 3


async def say_it_everywhere(address: str, right: str, planted_ones: list[str]) -> list[grpc.aio.AioRpcError]:
    """Sends tokens in all places that take text, right and wrong; what it is answered where it fails."""
    answers = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        for token in planted_ones:
            requests: list[tuple[Any, Any]] = [
                (stub.Stat, pb.StatRequest(unit=token, keys=[pb.Key(name=token)])),
                (stub.Stat, pb.StatRequest(unit=f"/{token}", keys=[pb.Key(name=token)])),
                (stub.List, pb.ListRequest(unit="docs", prefix=token, page_token=token)),
                (stub.List, pb.ListRequest(unit="docs", prefix=token, tags={token: token})),
                (
                    stub.Delete,
                    batch(pb.DeleteRequest, {"key": pb.Key(name=token), **new()}, unit=token),
                ),
                (stub.StatPrincipals, pb.StatPrincipalsRequest(principals=[token])),
                (stub.AcquireLease, pb.AcquireLeaseRequest(unit=token, name=token, holder=token.encode())),
                (channel.unary_unary(f"/vault.v1.VaultService/{token}"), b""),
                (channel.unary_unary(f"/{token}/{token}"), b""),
            ]
            headers: list[Any] = [
                bearer(token), (("authorization", token),), (("authorization", f"Basic {token}"),),
                (("x-token", token),),
                (*bearer(right), ("traceparent", token)), (*bearer(right), *bearer(token)), bearer(right),
                (("authorization-bin", token.encode()),),
            ]  # fmt: skip
            for metadata in headers:
                for method, request in requests:
                    try:
                        await method(request, metadata=metadata, timeout=20)
                    except grpc.aio.AioRpcError as error:
                        answers.append(error)
    return answers


@pytest.mark.parametrize("workers_wanted", [1, 2])
def test_a_server_at_debug_level_lets_none_out(workers_wanted: int, serve: Serve, tmp_path: Path) -> None:
    identities = IdentityFile(tmp_path)
    right = identities.add("root", "*:*", "*:admin")
    tokens = [planted(), "vt_" + secrets.token_urlsafe(40), right]
    environment_token = planted("e0")
    before = os.umask(0)
    try:
        served = serve(
            tmp_path / "own", "--listen", "127.0.0.1:0", "--workers", str(workers_wanted), "--tokens", identities.path,
            "--log-file", tmp_path / "log", "--log-level", "debug", "--log-format", "json",
            "--audit", tmp_path / "audit", "--audit-reads",
            env={"VAULT_GRPC_TOKEN": environment_token, "GRPC_VERBOSITY": "debug"},
        )  # fmt: skip
        answers = asyncio.run(say_it_everywhere(served.address, right, tokens))
    finally:
        os.umask(before)
    processes = [psutil.Process(served.process.pid), *workers(served)]
    environments = {each.pid: "\0".join(each.environ().values()) for each in processes[1:]}
    lines = {each.pid: "\0".join(each.cmdline()) for each in processes}
    assert len(lines) == (1 if workers_wanted == 1 else 3)
    code, out, err = served.terminate()
    assert code == 0
    shown = {
        "log": (tmp_path / "log").read_text(), "audit": (tmp_path / "audit").read_text(), "out": out, "err": err,
        "answers": "".join(f"{each} {each.details()} {each.trailing_metadata()}" for each in answers),
        "command lines": str(lines), "environments": str(environments),
    }  # fmt: skip
    assert len(answers) > 100
    assert shown["log"].count("UNAUTHENTICATED") > 0
    assert "vt_3f2a_***" in shown["log"] + shown["audit"]
    for token in (*tokens, environment_token):
        for where, text_of in shown.items():
            assert secret_of(token) not in text_of, where
    # Everything that was made is its owner's alone, whatever the umask.
    for path in tmp_path.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.lstat().st_mode) == wanted, path


async def test_errors_of_any_kind_are_logged_without_it(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the program in which a server runs logs itself: errors, not its sink, leave tokens out there."""
    caplog.set_level(logging.DEBUG)
    identities = IdentityFile(tmp_path)
    right = identities.add("root", "docs:*")
    access = AccessSettings(tokens=str(identities.path))
    tokens = [planted()]
    async with AsyncServer(store, access=access) as server:
        await say_it_everywhere(server.address, right, tokens)
    details = [vars(record).get("detail", "") + record.getMessage() for record in caplog.records]
    assert len(details) > 5
    for token in tokens:
        assert not [each for each in details if secret_of(token) in each]
