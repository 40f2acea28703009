"""Messages that are almost right, for every RPC: built from the contract's descriptors, then changed byte by byte."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from vault._grpc.settings import OPTIONS
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["VaultService"]
METHODS: Final[list[MethodDescriptor]] = list(SERVICE.methods)

_OTHERS: Final = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/vault.v1.VaultService/NoSuchMethod",
    "/no.such.Service/Method",
)
NEVER: Final = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS})
"""What no request may be answered with."""

_PATIENCE: Final = 60.0
_INTEGERS: Final = (0, 1, 2, 3, 7, 20, 255, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 63) - 1)
_TEXTS: Final = ("", "u", "v", "name", "a/b", "\x1b[0m", "\u202e", "ä", "x" * 200, "y" * 2000, "text", "🎈" * 400)


@dataclass
class Outcome:
    """What came of the requests."""

    codes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Maker:
    """Makes messages, the same for the same seed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def message(self, kind: type[Message], depth: int = 0) -> Message:
        """One with some of its fields set to values that matter."""
        message = kind()
        chosen = {each.containing_oneof: each for each in kind.DESCRIPTOR.fields if each.containing_oneof}
        for each in kind.DESCRIPTOR.fields:
            if each.containing_oneof and chosen[each.containing_oneof] is not each and self.rng.random() < 0.7:
                continue
            if self.rng.random() < 0.85:
                self._set(message, each, depth)
        return message

    def _set(self, message: Message, descriptor: Any, depth: int) -> None:
        name = descriptor.name
        if descriptor.message_type and descriptor.message_type.GetOptions().map_entry:
            for _ in range(self.rng.randrange(3)):
                getattr(message, name)[self._text()] = self._text()
        elif descriptor.is_repeated:
            for _ in range(self.rng.choice((0, 1, 1, 2, 2, 3, 40 if depth == 0 else 2))):
                if descriptor.message_type:
                    made = self.message(GetMessageClass(descriptor.message_type), depth + 1)
                    getattr(message, name).add().CopyFrom(made)
                else:
                    getattr(message, name).append(self._value(descriptor))
        elif descriptor.message_type:
            if depth < 6:
                made = self.message(GetMessageClass(descriptor.message_type), depth + 1)
                getattr(message, name).CopyFrom(made)
        else:
            setattr(message, name, self._value(descriptor))
        if isinstance(message, pb.Block) or (name == "checksum" and hasattr(message, "data")):
            message.checksum = checksum(message.data)  # type: ignore[attr-defined]  # they have both
            if self.rng.random() < 0.1:
                message.checksum ^= 1  # type: ignore[attr-defined]  # likewise

    def _value(self, descriptor: Any) -> Any:
        kind = descriptor.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            if descriptor.type == FieldDescriptor.TYPE_BYTES:
                if descriptor.name == "request_id":
                    return self.rng.choice((self.rng.randbytes(16), bytes([self.rng.randrange(8)]) * 16, b"", b"short"))
                return self.rng.randbytes(
                    self.rng.choice((0, 1, 100, 100, 100, 5000, 70_000, (1 << 20) if self.rng.random() < 0.2 else 10))
                )
            return "u" if descriptor.name == "unit" and self.rng.random() < 0.7 else self._text()
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self.rng.random() < 0.5
        if kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_ENUM):
            return self.rng.choice([each for each in _INTEGERS if each < 1 << 31])
        if kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
            return self.rng.choice((self.rng.randrange(20), *_INTEGERS))
        return 0.0

    def _text(self) -> str:
        return self.rng.choice(_TEXTS)

    def mutated(self, raw: bytes) -> bytes:
        """Other bytes, a little or much."""
        rng = self.rng
        changed = bytearray(raw)
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            place = rng.randrange(len(changed) + 1)
            match rng.randrange(7):
                case 0 if changed:
                    changed[place % len(changed)] ^= 1 << rng.randrange(8)
                case 1:
                    changed[place:place] = rng.randbytes(rng.choice((1, 4, 40)))
                case 2:
                    del changed[place : place + rng.choice((1, 4, 400))]
                case 3:
                    changed[place:] = b""
                case 4:
                    changed[place:place] = changed[:place][-rng.choice((1, 20, 300)) :]
                case 5:
                    changed[place:place] = b"\xff" * rng.choice((1, 9, 11))  # a number that does not end
                case _:
                    changed = bytearray(rng.randbytes(rng.choice((0, 1, 30, 5000)))) if rng.random() < 0.2 else changed
        return bytes(changed)

    def requests(self) -> tuple[str, list[bytes]]:
        """A method and what to send to it."""
        if self.rng.random() < 0.08:
            return self.rng.choice(_OTHERS), [self.mutated(b"\x0a\x01u")]
        method = self.rng.choice(METHODS)
        kind = GetMessageClass(method.input_type)
        number = self.rng.choice((0, 1, 2, 4)) if method.client_streaming else self.rng.choice((1, 1, 1, 1, 1, 1, 0, 2))
        made = [self.message(kind) for _ in range(number)]
        if method.client_streaming and made and self.rng.random() < 0.8:
            made[0] = self._start(kind)
        raw = [each.SerializeToString() for each in made]
        return f"/{SERVICE.full_name}/{method.name}", [self.mutated(each) for each in raw]

    def _start(self, kind: type[Message]) -> Message:
        message = kind()
        while message.WhichOneof("part") != "start":
            message = self.message(kind)
        return message


async def fuzz(address: str, seed: int, number: int, *, at_once: int = 16) -> Outcome:
    """Sends so many requests, and says what they were answered."""
    outcome = Outcome()
    maker = Maker(random.Random(seed))  # the same again for the same seed
    async with grpc.aio.insecure_channel(address, options=[*OPTIONS, ("grpc.max_send_message_length", -1)]) as channel:
        pending: Iterator[tuple[str, list[bytes]]] = (maker.requests() for _ in range(number))

        async def work() -> None:
            for method, messages in pending:
                await _say(channel, method, messages, outcome)

        await asyncio.gather(*(work() for _ in range(at_once)))
    return outcome


async def _say(channel: grpc.aio.Channel, method: str, messages: list[bytes], outcome: Outcome) -> None:
    call: Any = channel.stream_stream(method)()
    shown = f"{method} {[each[:200] for each in messages]}"
    try:
        async with asyncio.timeout(_PATIENCE):
            try:
                for message in messages:
                    await call.write(message)
                await call.done_writing()
                endless = method.endswith("/Watch")
                for _ in range(1 if endless else 1000):
                    if await call.read() is grpc.aio.EOF:
                        break
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
                pass  # the status says it
            if not call.done():
                call.cancel()
            code = await call.code()
    except TimeoutError:
        outcome.violations.append(f"no answer within {_PATIENCE:g} s: {shown}")
        call.cancel()
        return
    details = await call.details()
    if details == "Internal error from Core":  # which grpc.aio makes of a send that came after the refusal
        outcome.codes["refused while it was sent"] += 1
        return
    outcome.codes[code.name] += 1
    if code in NEVER:
        outcome.violations.append(f"{code.name} {details!r}: {shown}")


def large(address: str, size: int) -> list[tuple[str, Callable[[], bytes]]]:
    """Requests that are refused, of so many bytes."""
    text = "\x01" * size
    return [
        ("Exists", lambda: pb.ExistsRequest(unit=text).SerializeToString()),
        ("Stat", lambda: pb.StatRequest(unit="u", keys=[pb.Key(name=text)]).SerializeToString()),
        ("List", lambda: pb.ListRequest(unit="u", prefix=text).SerializeToString()),
        ("List", lambda: pb.ListRequest(unit="u", page_token=text).SerializeToString()),
        ("Load", lambda: pb.LoadRequest(unit=text).SerializeToString()),
        ("Upload", lambda: pb.UploadRequest(start=pb.UploadRequest.Start(unit=text)).SerializeToString()),
        ("SetMetadata", lambda: pb.SetMetadataRequest(unit="u", key=pb.Key(name=text)).SerializeToString()),
        ("Watch", lambda: pb.WatchRequest(units=[text]).SerializeToString()),
    ]
