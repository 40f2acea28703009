"""Every way in which one field of a reply can be another: a walk over its descriptor."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from vault.v1 import vault_pb2 as pb

from torture.hostile_server.server import SERVICE

Reach = Callable[[Any], Any]
"""From a reply to a message in it."""


Apply = Callable[[Any], None]


class Change(NamedTuple):
    """One field made another.

    Attributes:
        field: Its path, without the places of what is repeated: "items.info.size".
        what: What it is made.
        apply: Does it to a reply.
    """

    field: str
    what: str
    apply: Apply


def changes(reply: Message) -> list[Change]:
    """All of them that a reply has room for."""
    return list(_walk(reply, "", lambda root: root))


def _walk(message: Any, path: str, reach: Reach) -> Iterator[Change]:
    for field in message.DESCRIPTOR.fields:
        name = f"{path}{field.name}"
        if _is_map(field):
            yield _change(name, "cleared", reach, _clear(field.name))
            yield _change(name, "more", reach, _add_to(field.name))
        elif field.is_repeated:
            yield from _repeated(message, field, name, reach)
        elif field.message_type is not None:
            yield from _submessage(message, field, name, reach)
        else:
            yield _change(name, "cleared", reach, _clear(field.name))
            for value in _others(field, getattr(message, field.name)):
                yield _change(name, f"{value!r:.40}", reach, _set(field.name, value))


def _clear(field: str) -> Apply:
    def clear(at: Any) -> None:
        at.ClearField(field)

    return clear


def _set(field: str, value: Any) -> Apply:
    def put(at: Any) -> None:
        setattr(at, field, value)

    return put


def _add_to(field: str) -> Apply:
    def add(at: Any) -> None:
        getattr(at, field)["extra"] = "x"

    return add


def _submessage(message: Any, field: Any, name: str, reach: Reach) -> Iterator[Change]:
    def empty(at: Any) -> None:
        at.ClearField(field.name)
        getattr(at, field.name).SetInParent()

    yield _change(name, "emptied", reach, empty)
    if message.HasField(field.name):
        yield _change(name, "cleared", reach, _clear(field.name))
        yield from _walk(getattr(message, field.name), f"{name}.", lambda root: getattr(reach(root), field.name))


def _repeated(message: Any, field: Any, name: str, reach: Reach) -> Iterator[Change]:
    values = getattr(message, field.name)
    if not values:
        return

    def remake(make: Callable[[list[Any]], list[Any]]) -> Apply:
        def apply(at: Any) -> None:
            made = [copy.deepcopy(value) for value in make(list(getattr(at, field.name)))]
            at.ClearField(field.name)
            getattr(at, field.name).extend(made)

        return apply

    yield _change(name, "cleared", reach, remake(lambda _: []))
    yield _change(name, "one fewer", reach, remake(lambda all_of_them: all_of_them[1:]))
    yield _change(name, "the first twice", reach, remake(lambda all_of_them: all_of_them[:1] + all_of_them))
    yield _change(name, "2,000 more", reach, remake(lambda all_of_them: all_of_them + all_of_them[-1:] * 2000))
    if len(values) > 1:
        yield _change(name, "reversed", reach, remake(lambda all_of_them: all_of_them[::-1]))
        yield _change(name, "the first for each", reach, remake(lambda all_of_them: all_of_them[:1] * len(all_of_them)))
    if field.message_type is not None:
        yield from _walk(values[0], f"{name}.", lambda root: getattr(reach(root), field.name)[0])
    else:
        for value in _others(field, values[0]):

            def put(at: Any, value: Any = value) -> None:
                getattr(at, field.name)[0] = value

            yield _change(name, f"{value!r:.40}", reach, put)


def _change(field: str, what: str, reach: Reach, apply: Apply) -> Change:
    return Change(field, what, lambda root: apply(reach(root)))


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


_BOUNDS: Final = {
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 99),
    FieldDescriptor.CPPTYPE_BOOL: (0, 1),
}


def _others(field: Any, value: Any) -> list[Any]:
    """Other values for a field than the one that it has."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if isinstance(value, bytes):
            return [b"", value + b"x", bytes([value[0] ^ 1]) + value[1:] if value else b"\xff"]
        return [other for other in ("", f"{value}x", "other", "\x1b[2J\u202e", "n" * 5000) if other != value]
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return [not value]
    low, high = _BOUNDS[field.cpp_type]
    numbers = {low, high, 1, high // 2, high // 2 + 1, min(value + 1, high), max(value - 1, low)}
    return sorted(numbers - {value})


class Recorder:
    """A bend that keeps what passes through."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, int, bytes]] = []

    def __call__(self, method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for index, raw in enumerate(replies):
            self.replies.append((method, index, raw))
            yield raw


class Bent:
    """A bend that does something to the n-th reply of each call of a method."""

    def __init__(self, method: str, index: int, bend: Callable[[bytes], bytes]) -> None:
        self._method = method
        self._index = index
        self._bend = bend

    def __call__(self, method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for index, raw in enumerate(replies):
            yield self._bend(raw) if (method, index) == (self._method, self._index) else raw


def reply_of(method: str) -> Any:
    """The class of a method's replies."""
    return getattr(pb, SERVICE.methods_by_name[method].output_type.name)


def changing(method: str, change: Change) -> Callable[[bytes], bytes]:
    """Does a change to a reply as it is on the wire."""

    def bend(raw: bytes) -> bytes:
        reply = reply_of(method).FromString(raw)
        try:
            change.apply(reply)
        except IndexError:  # it holds fewer this time, as a group of a watch may
            return raw
        changed: bytes = reply.SerializeToString()
        return changed

    return bend
