"""Every error survives the wire, and whatever else a server may answer becomes an error of ours."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
import vault_server
from hypothesis import given
from hypothesis import strategies as st
from vault import errors
from vault.errors import (
    ClosedError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    UnauthenticatedError,
    UnavailableError,
    VaultError,
)
from vault.store import limits, specs, values
from vault.wire.error_table import TABLE
from vault.wire.status import DETAILS_KEY, error_from_rpc, item_error_from_wire, item_error_to_wire, status_of


class Answer(grpc.RpcError):
    """What a stub raises: sync and aio ones have these three methods in common."""

    def __init__(
        self,
        code: grpc.StatusCode,
        details: str | None = "",
        metadata: Iterable[tuple[str, str | bytes]] | None = (),
    ) -> None:
        self._answer = code, details, metadata

    def code(self) -> grpc.StatusCode:
        return self._answer[0]

    def details(self) -> str | None:
        return self._answer[1]

    def trailing_metadata(self) -> Any:  # grpc's own annotation leaves out None
        return self._answer[2]


def through_the_wire(error: VaultError) -> VaultError:
    status = status_of(error)
    return error_from_rpc(Answer(status.code, status.message, status.trailing_metadata))


def classes(root: type[VaultError] = VaultError) -> list[type[VaultError]]:
    return [root, *(below for kind in root.__subclasses__() for below in classes(kind))]


@pytest.mark.parametrize("kind", [kind for kind in classes() if kind is not errors.BatchError])
def test_every_error_class_comes_back_as_itself(kind: type[VaultError]) -> None:
    sent = kind("what was wrong", unit="u", data_id=7, generation=3, name="12", block=0)
    got = through_the_wire(sent)
    assert type(got) is kind
    assert (got.message, got.reason) == (sent.message, sent.reason)
    assert {**got.context, "retry_after": None} == {**sent.context, "retry_after": None}


@pytest.mark.parametrize("reason", TABLE)
def test_every_reason_comes_back_alone_and_in_a_batch(reason: str) -> None:
    sent = TABLE[reason].error("what was wrong", reason=reason)
    for got in (through_the_wire(sent), item_error_from_wire(item_error_to_wire(sent))):
        assert (type(got), got.reason, got.message) == (type(sent), reason, sent.message)
    assert status_of(sent).code.value[0] == TABLE[reason].code


def test_every_reason_that_a_server_may_raise_is_in_the_table() -> None:
    server = Path(str(vault_server.__file__)).parent
    sources = [*(Path(str(each.__file__)) for each in (limits, specs, values)), *server.rglob("*.py")]
    raised = re.compile(r'(?:\breason=|: )"([A-Z]+_[A-Z_]+)"')
    used = {reason for path in sources for reason in raised.findall(path.read_text())}
    # Before there is a server, or where it would listen.
    at_opening = {"BAD_LOCATION", "BAD_SETTING", "NOT_A_REGISTER", "REGISTER_TOO_NEW", "BAD_ADDRESS", "ADDRESS_IN_USE"}
    assert used - at_opening <= set(TABLE), "add these to the table in vault.wire.error_table"


def test_a_reason_unknown_here_is_raised_as_its_code_says() -> None:
    class Newer(errors.ConflictError):
        default_reason = "LEASE_HELD"

    got = through_the_wire(Newer("somebody holds the lease"))
    assert type(got) is errors.ConflictError
    assert got.reason == "LEASE_HELD"


def test_waiting_time_travels_as_retry_info() -> None:
    assert through_the_wire(UnavailableError("busy", reason="OVERLOADED")).context["retry_after"] == 0.5
    assert through_the_wire(UnavailableError("busy", retry_after=2.5)).context["retry_after"] == 2.5
    assert "retry_after" not in through_the_wire(NotFoundError("gone")).context


@given(
    st.text(max_size=3000),
    st.dictionaries(st.from_regex(r"[a-z_]{2,20}", fullmatch=True), st.text(max_size=3000), max_size=30),
)
def test_metadata_stays_below_grpcs_limit(message: str, context: dict[str, str]) -> None:
    context.pop("message", None)
    context.pop("reason", None)
    status = status_of(VaultError(message, **context))
    percent_encoded = 3 * len(status.message.encode())
    in_base64 = sum(len(key) + 4 * len(value) / 3 for key, value in status.trailing_metadata)
    assert percent_encoded + in_base64 < 8000


def test_a_name_of_the_longest_kind_comes_back_whole() -> None:
    assert through_the_wire(NotFoundError("no such object", name="ü" * 512)).context["name"] == "ü" * 512


def test_text_that_is_not_unicode_is_sent_all_the_same() -> None:
    assert through_the_wire(InvalidArgumentError("bad \ud800", name="\udfff")).message == "bad ?"


@pytest.mark.parametrize(
    ("code", "text", "kind", "reason"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", ProtocolError, "PROTOCOL"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", UnavailableError, "TIMEOUT"),
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses", UnavailableError, "UNAVAILABLE"),
        (grpc.StatusCode.UNAVAILABLE, "Trying to connect an http1.x server", ProtocolError, "PROTOCOL"),
        (grpc.StatusCode.CANCELLED, "Channel closed!", ClosedError, "CLOSED"),
        (grpc.StatusCode.CANCELLED, "Locally cancelled by application!", UnavailableError, "CANCELLED"),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "SERVER: Received message larger than max (5000000 vs. 4194304)",
            InvalidArgumentError,
            "MESSAGE_TOO_LARGE",
        ),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", UnavailableError, "OVERLOADED"),
        (grpc.StatusCode.UNKNOWN, "Stream removed", UnavailableError, "UNAVAILABLE"),
        (grpc.StatusCode.INTERNAL, "Internal error from Core", UnavailableError, "UNAVAILABLE"),
        (grpc.StatusCode.UNKNOWN, "Exception calling application: oh", VaultError, "INTERNAL"),
        (grpc.StatusCode.INTERNAL, "Exception deserializing request!", VaultError, "INTERNAL"),
        (grpc.StatusCode.UNAUTHENTICATED, "no token", UnauthenticatedError, "UNAUTHENTICATED"),
        (grpc.StatusCode.PERMISSION_DENIED, "no", PermissionDeniedError, "PERMISSION_DENIED"),
        (grpc.StatusCode.NOT_FOUND, "a proxy's own", ProtocolError, "PROTOCOL"),
    ],
)
def test_answers_without_our_details_become_errors_that_name_the_server(
    code: grpc.StatusCode, text: str, kind: type[VaultError], reason: str
) -> None:
    error = error_from_rpc(Answer(code, text), address="host:1")
    assert (type(error), error.reason) == (kind, reason)
    assert "the server at host:1" in str(error)


def test_details_that_are_not_ours_or_not_parseable_are_left_aside() -> None:
    for raw in (b"\xff\xff", b"", b"\x08\x05"):
        error = error_from_rpc(Answer(grpc.StatusCode.UNAVAILABLE, "away", [(DETAILS_KEY, raw)]))
        assert type(error) is UnavailableError
    assert type(error_from_rpc(Answer(grpc.StatusCode.UNAVAILABLE, None, None))) is UnavailableError
