# Generated from _async/remote/asking.py by scripts/unasync: DO NOT CHANGE.
"""What every call of a RemoteStore is made with: one request and its reply, or as many as a batch needs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from vault._sync.remote.channel import Channel
from vault._sync.remote.split_batches import ask_all, take_parts
from vault._runtime.elapsed import elapsed
from vault.errors import InvalidArgumentError, ProtocolError, UnsupportedError, VaultError
from vault.store.connection import ConnectionSettings
from vault.store.contract import Store
from vault.store.limits import MAX_DATA_ID
from vault.store.outcomes import ItemT, merged, validated
from vault.store.values import Capabilities
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import reply_checks as replies
from vault.wire.store_time import TIMED, StoreTime

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


class Asking(Store):
    """A Store's connection to its server, and what its replies have shown."""

    def __init__(self, address: str, connection: ConnectionSettings) -> None:
        self._channel = Channel(address, connection)
        self._revision = 0
        self._time = StoreTime()

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._channel.address

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def time(self) -> datetime:
        return self._time.now

    def capabilities(self) -> Capabilities:
        reply = self._unary("GetCapabilities", pb.GetCapabilitiesRequest())
        return replies.check_capabilities(wire.capabilities_from_wire(reply))

    def _unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        sent = elapsed()
        try:
            reply = self._channel.unary(method, request, timeout=timeout)
        except ProtocolError as error:
            raise self._lacking(method, error) from error.__cause__
        self._see(reply.revision)
        if method in TIMED:
            self._time.see(reply, sent)
            self._channel.distance.see(elapsed() - sent)
        return reply

    def _lacking(self, method: str, error: ProtocolError) -> VaultError:
        """What a method that the server does not have comes to: it is older than that, or is none of Vault's."""
        if error.context.get("code") != "UNIMPLEMENTED" or method == "GetCapabilities":
            return error
        try:
            version = (self.capabilities()).version
        except VaultError:
            return error
        return UnsupportedError(
            f"{self.address} is of version {version}, which does not have {method}: nothing was done", method=method
        )

    def _ask_valid(
        self,
        method: str,
        unit: str,
        items: Sequence[ItemT],
        fill: Callable[[Any, ItemT], None],
        read: Callable[[Any, ItemT], AnswerT],
        **options: Any,
    ) -> list[AnswerT | VaultError]:
        """`_ask` about the items that can be asked about; of the others, what is wrong with each is its outcome."""
        checked = validated(items)
        valid = [item for item in checked if not isinstance(item, VaultError)]
        return merged(checked, self._ask(method, unit, valid, fill, read, **options))

    def _ask(
        self,
        method: str,
        unit: str,
        items: Sequence[QuestionT],
        fill: Callable[[Any, QuestionT], None],
        read: Callable[[Any, QuestionT], AnswerT],
        *,
        questions: str = "items",
        answers: str = "results",
        timeout: float | None = None,
        writes: bool = False,
        to_unit: str | None = None,
    ) -> list[AnswerT]:
        """`ask_all` by a method, whose messages have these fields; `read` makes an answer of a part of the reply."""

        def ask(request: Any, run: Sequence[int], timeout: float) -> list[AnswerT]:
            reply = self._unary(method, request, timeout=timeout)
            return [read(part, items[place]) for part, place in replies.pairs(getattr(reply, answers), run)]

        units = {"unit": unit} if to_unit is None else {"unit": unit, "to_unit": to_unit}
        begin = partial(getattr(pb, f"{method}Request"), **units)
        take = partial(take_parts, items, begin, fill, questions)
        timeout = timeout or self._channel.timeout
        return list(ask_all(ask, len(items), take, timeout=timeout, writes=writes))

    def _see(self, revision: int) -> None:
        if revision > self._revision:
            if revision > MAX_DATA_ID:
                raise ProtocolError(f"the server is at revision {revision}, which can be none")
            self._revision = revision


def check_page_token(token: str) -> None:
    """Raises InvalidArgumentError, BAD_PAGE_TOKEN, for what is no text."""
    try:
        token.encode()
    except (AttributeError, UnicodeEncodeError):
        raise InvalidArgumentError(
            "bad page token: next_page_token of the page before", reason="BAD_PAGE_TOKEN"
        ) from None
