"""Everybody, known or not, tries everything that a server has, over every kind of channel, and is let in or is not."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from vault.wire.status import error_from_rpc
from vault_server import AsyncServer, EmbeddedStore

from tests.access.break_in import SOME, Tally, Try, caller_of, try_way
from tests.access.calling import SERVICES, Place
from tests.access.commands import BY_PROCESS, COMMANDS, LOCAL, programs_commands, words_of
from tests.access.model import DOCS, EXPECTED, Answer
from tests.access.probes import PROBES, RUNNING
from tests.access.site import Site, Way
from tests.cli.program import COMMAND, Inside

one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), stack)
        yield made
        log = made.log.read_text()
        assert "Traceback" not in log
        assert not [each.title for each in made.identities.all if each.token and each.token[-43:] in log]


@pytest_asyncio.fixture(loop_scope="module")
async def place(site: Site) -> AsyncIterator[Place]:
    async with caller_of(site.way("TLS"), site.addresses["tls"], site.identities.admin) as admin:
        yield Place(site.store, admin)


def test_every_method_is_tried_and_says_who_may_call_it() -> None:
    methods = {f"{service.name}.{method.name}" for service in SERVICES for method in service.methods}
    assert {use.split()[0] for use in PROBES} == methods
    assert PROBES.keys() == EXPECTED.keys()


@one_loop
async def test_every_service_that_a_server_has_is_tried(site: Site, place: Place) -> None:
    assert place.admin is not None
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = await place.admin.call("ServerReflection.ServerReflectionInfo", request)
    found = {each.name for each in reply.list_services_response.service}
    assert found == {service.full_name for service in SERVICES}


@one_loop
async def test_over_tls_everybody_gets_of_everything_what_is_his(site: Site, place: Place) -> None:
    tally = Tally()
    await try_way(site, place, site.way("TLS"), tally, uses=tuple(PROBES), principals=site.identities.all)
    tally.assert_right()


@one_loop
async def test_over_no_other_channel_anybody_gets_more(site: Site, place: Place) -> None:
    tally = Tally()
    some = [site.identities.right, *site.identities.strangers]
    for way in site.ways:
        await try_way(site, place, way, tally, uses=SOME, principals=some)
    tally.assert_right()


@pytest.mark.slow
@pytest.mark.timeout(600)
@one_loop
async def test_over_any_channel_everybody_gets_of_everything_what_is_his(site: Site, place: Place) -> None:
    tally = Tally()
    for way in site.ways:
        await try_way(site, place, way, tally, uses=tuple(PROBES), principals=site.identities.all)
    tally.assert_right()


@one_loop
async def test_a_server_that_asks_nobody_is_found_to_let_everybody_in(tmp_path: Path, site: Site) -> None:
    tally = Tally()
    with EmbeddedStore(tmp_path / "open") as store:
        async with AsyncServer(store) as server:
            site.addresses["open"] = server.address
            place = Place(store)
            for stranger in site.identities.strangers:
                await try_way(site, place, Way("open", "open"), tally, uses=SOME, principals=[stranger])
    assert len(tally.let_in) > 2 * len(site.identities.strangers)
    assert any("something changed" in each for each in tally.let_in)
    with pytest.raises(AssertionError):
        tally.assert_right()


@pytest.mark.parametrize("kind", ["plain", "TLS"])
@one_loop
async def test_what_runs_ends_with_its_token_and_nothing_begins_after_it(kind: str, site: Site, place: Place) -> None:
    way, leaving = site.way(kind), site.identities.leaving
    gone = replace(leaving, known=False)
    tally = Tally()
    async with caller_of(way, site.addresses[way.server], leaving) as caller:
        running = [await caller.start(method, *messages(place)) for method, messages in RUNNING]
        health = await caller.start("Health.Watch", health_pb2.HealthCheckRequest())
        place.expect_unchanged()
        site.identities.revoke(leaving)
        began = time.monotonic()
        try:
            ends = [await _end_of(call) for call in running]
            print(f"{len(ends)} streams ended {time.monotonic() - began:.3f} s after the token")
            assert [(error.code().name, error_from_rpc(error).reason) for error in ends] == [
                ("UNAUTHENTICATED", "REVOKED")
            ] * len(RUNNING)
            assert not health.done()
            assert not place.is_changed()
            after = Try(way, caller, gone, allowed=True)
            for use in PROBES:
                await after.run(use, place, tally)
        finally:
            site.identities.restore(leaving)
            health.cancel()
    tally.assert_right()


async def _end_of(call: Any) -> grpc.aio.AioRpcError:
    """What it ended with; what was on its way before that is read."""
    async with asyncio.timeout(20):
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return error
    raise AssertionError(f"it ended with {await call.code()}")


def test_every_command_that_asks_a_server_is_tried_and_says_who_may_run_it() -> None:
    assert {*(" ".join(words_of(use)) for use in COMMANDS), *BY_PROCESS, *LOCAL} == set(programs_commands())


def test_every_command_does_for_everybody_what_is_his(site: Site, tmp_path: Path) -> None:
    tally = Tally()
    place = Place(site.store)
    program = Inside(f"grpcs://{site.addresses['tls']}")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(site.ca.pem)
    for principal in site.identities.all:
        environment = {"VAULT_GRPC_CA": str(ca), "VAULT_GRPC_TOKEN": principal.token or ""}
        for name, command in COMMANDS.items():
            arguments = command.arguments(place, tmp_path)
            place.expect_unchanged()
            done = program.run(*words_of(name), *arguments, env=environment)
            due: Answer = "done" if command.is_allowed(principal) else "denied"
            got: Answer = "done" if done.returncode == 0 and command.shows(done.stdout) else "denied"
            tally.note(f"{principal.title}, {name}: {done.stderr.decode().strip()}", due, got)
            if due != "done" and place.is_changed():
                tally.note(f"{principal.title}, {name}, and yet something changed", due, "done")
            assert (principal.token or "none").encode() not in done.stdout + done.stderr
    tally.assert_right()


def test_the_command_watch_tells_whom_it_may_and_ends_for_others(site: Site, tmp_path: Path) -> None:
    place = Place(site.store)
    ca = tmp_path / "ca.crt"
    ca.write_bytes(site.ca.pem)
    (stranger,) = [each for each in site.identities.strangers if each.title == "revoked"]
    (blind,) = [each for each in site.identities.known if each.title == "only-read"]
    for principal, told in ((site.identities.right, True), (blind, False), (stranger, False)):
        with subprocess.Popen(
            [COMMAND, "--vault", f"grpcs://{site.addresses['tls']}", "watch", f"--unit={DOCS}", "--since=0"],
            env={**os.environ, "VAULT_GRPC_CA": str(ca), "VAULT_GRPC_TOKEN": principal.token or ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as watching:
            place.new()
            assert watching.stdout is not None
            assert bool(watching.stdout.readline()) == told  # it ends for whom it is not
            watching.terminate()
            _, said = watching.communicate(timeout=30)
        assert watching.returncode == 0 if told else watching.returncode > 0, said
