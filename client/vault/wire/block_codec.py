"""The blocks of streams as bytes of the wire and back, without the copies that a message makes of them.

A protobuf message copies its bytes when they are set, when it is serialised, when it is parsed, and each time they are
looked at. Here a block is encoded in one copy, and decoded in none: its data is a view of what gRPC received. The bytes
on the wire are those of the generated code (vault.v1: LoadResponse, UploadRequest, UpdateRequest, PutRequest), which
reads and writes whatever is not a block, and blocks that are laid out in another way.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from vault.store.values import Block
from vault.v1 import vault_pb2 as pb

LOAD_BLOCK: Final = pb.LoadResponse.BLOCK_FIELD_NUMBER
WRITE_BLOCK: Final = pb.UploadRequest.BLOCK_FIELD_NUMBER
"""Of UpdateRequest, PutRequest and WriteBlockRequest, too."""

_OFFSET: Final = pb.Block.OFFSET_FIELD_NUMBER << 3  # a varint
_DATA: Final = pb.Block.DATA_FIELD_NUMBER << 3 | 2  # with a length
_CHECKSUM: Final = pb.Block.CHECKSUM_FIELD_NUMBER << 3 | 1  # eight bytes


class SentBlock(NamedTuple):
    """A WriteBlockRequest."""

    unit: str
    request_id: bytes
    stream: int
    block: Block | None


class Codecs(NamedTuple):
    """How the messages of one method become bytes and back."""

    serialize_request: Callable[[Any], bytes]
    parse_request: Callable[[bytes], Any]
    serialize_response: Callable[[Any], bytes]
    parse_response: Callable[[bytes], Any]


def encode_block(field: int, block: Block, more: bytes = b"") -> bytes:
    """A message whose field of this number is the block; behind it, more of them, encoded already."""
    head = bytearray()
    if block.offset:
        head.append(_OFFSET)
        _put_varint(head, block.offset)
    head.append(_DATA)
    _put_varint(head, len(block.data))
    tail = bytes([_CHECKSUM]) + block.checksum.to_bytes(8, "little")
    tag = bytearray([field << 3 | 2])
    _put_varint(tag, len(head) + len(block.data) + len(tail))
    return b"".join((tag, head, block.data, tail, more))


def decode_block(field: int, raw: bytes | memoryview) -> Block | None:
    """The inverse; None where the message is another, or its fields come in another order."""
    if len(raw) < 2 or raw[0] != field << 3 | 2:  # a tag and a length
        return None
    try:
        size, place = _take_varint(raw, 1)
        offset = 0
        if place + size != len(raw):
            return None
        if raw[place] == _OFFSET:
            offset, place = _take_varint(raw, place + 1)
        if raw[place] != _DATA:
            return None
        length, start = _take_varint(raw, place + 1)
        end = start + length
        if end + 9 != len(raw) or raw[end] != _CHECKSUM or offset >> 64:
            return None
    except (IndexError, ValueError):  # cut short, or no number: for the generated code to tell
        return None
    return Block(offset, memoryview(raw)[start:end], int.from_bytes(raw[end + 1 :], "little"))


def decode_sent_block(raw: bytes) -> SentBlock:
    """A WriteBlockRequest, without a copy where the block comes first. Raises DecodeError."""
    end, block = 0, None
    if len(raw) > 2 and raw[0] == WRITE_BLOCK << 3 | 2:
        with contextlib.suppress(IndexError, ValueError):
            size, place = _take_varint(raw, 1)
            block = decode_block(WRITE_BLOCK, memoryview(raw)[: place + size])
            end = place + size if block is not None else 0
    rest = pb.WriteBlockRequest.FromString(raw[end:])
    if rest.HasField("block"):
        block = Block(rest.block.offset, rest.block.data, rest.block.checksum)
    return SentBlock(rest.unit, rest.request_id, rest.stream, block)


def serialize(message: Message | bytes) -> bytes:
    """A message, or one that is encoded already."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def _parser(field: int, parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Gives a Block for a block, and for anything else what `parse` makes of it."""

    def parse_message(raw: bytes) -> Any:
        block = decode_block(field, raw)
        if block is not None:
            return block
        message = parse(raw)
        if message.WhichOneof("part") == "block":
            return Block(message.block.offset, message.block.data, message.block.checksum)
        return message

    return parse_message


def _codec(descriptor: Any, *, streams: bool) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """How a method's messages of this kind are written and read; a stream may have some that are bytes already."""
    message = getattr(pb, descriptor.name)
    if message is pb.WriteBlockRequest:
        return serialize, decode_sent_block
    block = descriptor.fields_by_name.get("block")
    parse = message.FromString if block is None else _parser(block.number, message.FromString)
    return (serialize if streams else message.SerializeToString), parse


_SERVICE: Final = pb.DESCRIPTOR.services_by_name["VaultService"]

CODECS: Final = {
    f"/{_SERVICE.full_name}/{method.name}": Codecs(
        *_codec(method.input_type, streams=method.client_streaming),
        *_codec(method.output_type, streams=method.server_streaming),
    )
    for method in _SERVICE.methods
}
"""Of every method, by its full name, as gRPC has it."""


def _put_varint(target: bytearray, value: int) -> None:
    while value > 0x7F:  # seven bits a byte, the lowest first
        target.append(value & 0x7F | 0x80)
        value >>= 7
    target.append(value)


def _take_varint(raw: bytes | memoryview, place: int) -> tuple[int, int]:
    """The number that begins at `place`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than ten bytes")
