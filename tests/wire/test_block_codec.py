"""Blocks are on the wire what the generated code makes of them, and are read whoever wrote them."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from vault.store.values import Block
from vault.v1 import vault_pb2 as pb
from vault.wire.block_codec import CODECS, LOAD_BLOCK, WRITE_BLOCK, decode_block, encode_block

blocks = st.builds(
    Block,
    offset=st.integers(0, (1 << 64) - 1),
    data=st.binary(max_size=300) | st.binary(max_size=100).map(lambda data: data * 200),
    checksum=st.integers(0, (1 << 64) - 1),
)
SERVICE = "/vault.v1.VaultService/"
FIELDS = {"Load": LOAD_BLOCK, "Upload": WRITE_BLOCK, "Update": WRITE_BLOCK}
MESSAGES: dict[str, Any] = {"Load": pb.LoadResponse, "Upload": pb.UploadRequest, "Update": pb.UpdateRequest}
methods = st.sampled_from(sorted(MESSAGES))


def generated(method: str, block: Block) -> Any:
    return MESSAGES[method](block=pb.Block(offset=block.offset, data=bytes(block.data), checksum=block.checksum))


def parse(method: str, raw: bytes) -> Any:
    codecs = CODECS[SERVICE + method]
    return codecs.parse_response(raw) if method == "Load" else codecs.parse_request(raw)


@given(methods, blocks)
def test_the_generated_code_reads_what_is_encoded(method: str, block: Block) -> None:
    assert MESSAGES[method].FromString(encode_block(FIELDS[method], block)) == generated(method, block)


@given(methods, blocks)
def test_what_the_generated_code_wrote_is_read(method: str, block: Block) -> None:
    assert parse(method, generated(method, block).SerializeToString()) == block


@given(methods, blocks.filter(lambda block: block.data and block.checksum))
def test_they_are_the_same_bytes(method: str, block: Block) -> None:
    raw = generated(method, block).SerializeToString()
    assert encode_block(FIELDS[method], block) == raw
    found = decode_block(FIELDS[method], raw)
    assert found == block
    assert found is not None
    assert isinstance(found.data, memoryview)
    assert found.data.obj is raw, "not copied"


@given(blocks)
def test_fields_in_another_order_and_unknown_ones_are_left_to_the_generated_code(block: Block) -> None:
    parts = [
        pb.Block(offset=block.offset).SerializeToString(),
        pb.Block(data=bytes(block.data)).SerializeToString(),
        pb.Block(checksum=block.checksum).SerializeToString(),
    ]
    for order in ((2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 2, 0)):
        inner = b"".join(parts[n] for n in order)
        outer = pb.UploadRequest(block=pb.Block.FromString(inner))
        raw = bytes([WRITE_BLOCK << 3 | 2]) + _varint(len(inner)) + inner
        assert pb.UploadRequest.FromString(raw) == outer
        assert parse("Upload", raw) == block
    unknown = generated("Upload", block).SerializeToString() + b"\xf8\x07\x01"
    assert parse("Upload", unknown) == block
    assert parse("Load", generated("Load", block).SerializeToString() + b"\x20\x05") == block  # with a revision


@given(methods, st.binary(max_size=60))
def test_whatever_comes_is_read_as_the_generated_code_reads_it(method: str, raw: bytes) -> None:
    assert_same_outcome(method, raw)


@given(methods, blocks, st.data())
def test_a_block_that_was_cut_or_changed_is_read_as_the_generated_code_reads_it(
    method: str, block: Block, chosen: st.DataObject
) -> None:
    raw = bytearray(generated(method, block).SerializeToString())
    for _ in range(chosen.draw(st.integers(0, 3))):
        raw[chosen.draw(st.integers(0, min(len(raw), 20) - 1))] = chosen.draw(st.integers(0, 255))
    assert_same_outcome(method, bytes(raw[: chosen.draw(st.integers(0, len(raw)))]))


@pytest.mark.parametrize("method", sorted(MESSAGES))
def test_a_number_without_an_end_is_no_work(method: str) -> None:
    raw = bytes([FIELDS[method] << 3 | 2]) + b"\xff" * (1 << 20)
    with pytest.raises(DecodeError):
        parse(method, raw)


def test_other_messages_are_the_generated_ones() -> None:
    commit = pb.UploadRequest(commit=pb.Commit(size=5))
    assert parse("Upload", CODECS[SERVICE + "Upload"].serialize_request(commit)) == commit
    first = pb.LoadResponse(info=pb.ObjectInfo(unit="u", data_id=5), revision=9)
    assert parse("Load", CODECS[SERVICE + "Load"].serialize_response(first)) == first
    assert parse("Load", b"") == pb.LoadResponse()


def assert_same_outcome(method: str, raw: bytes) -> None:
    try:
        expected = MESSAGES[method].FromString(raw)
    except DecodeError:
        with pytest.raises(DecodeError):
            parse(method, raw)
        return
    found = parse(method, raw)
    if expected.WhichOneof("part") == "block":
        assert found == Block(expected.block.offset, expected.block.data, expected.block.checksum)
    else:
        assert found == expected


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
