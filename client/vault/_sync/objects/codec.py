# Generated from _async/objects/codec.py by scripts/unasync: DO NOT CHANGE.
"""From objects to blocks and back, for one unit."""

import io
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final, TypeVar, cast

from vault._sync.files.block_stream import BlockSource
from vault._runtime.blocking import Blocking, Hook
from vault._runtime.gathered_bytes import gathered_bytes
from vault._runtime.sync_async import Bridge, Returned
from vault._sync.files.object_reader import ObjectReader
from vault.datatype import Datatype
from vault.errors import CorruptionError, DecodeError, EncodeError, InvalidArgumentError, VaultError
from vault.plain import Plain, advice
from vault.store._sync.reopening import Reopen
from vault.store.blocks import BlockCutter, Encoded, check_empty, spans, worth_repeating
from vault.store.columns import LoadedObjects
from vault.store.contract import BlockReader, BlockWriter
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo, checksum

T = TypeVar("T")

_INLINE: Final = 64 << 10  # bytes up to which a hook may run where the caller waits, without a thread

Begin = Callable[[], Returned[BlockWriter]]
"""Begins a write; the same one, when it is called again."""


class Codec:
    """Dumps and loads the objects of one unit. Every failure of a hook is an EncodeError or DecodeError.

    Attributes:
        plain: The plain type that the unit was declared with.
    """

    def __init__(self, unit: str, datatype: type[Datatype], *, is_declared: bool = True) -> None:
        self.plain: Plain[Any] | None = None
        self._is_declared = is_declared
        self._unit = unit
        self._datatype = datatype

    def check(self, data: object) -> None:
        """Raises InvalidArgumentError unless `data` is an object of the unit's Datatype."""
        if not isinstance(data, self._datatype):
            held = self._datatype if self.plain is None else self.plain.kind
            what_to_do = self._undeclared(type(data).__name__) or advice(data, self._datatype, self.plain)
            raise InvalidArgumentError(
                f"unit {self._unit!r} holds objects of {held.__name__}, not {type(data).__name__}{what_to_do}",
                reason="BAD_OBJECT",
                unit=self._unit,
            )

    def encode(self, data: Datatype) -> Encoded | None:
        """The object's bytes, whole; None when its class streams and it does not fit a block."""
        self.check(data)
        raw = Blocking.run(self._dump_small if type(data).streams() else self._dump, data)
        return None if raw is None else Encoded(type(data).datatype_tag, raw)

    def encode_some(self, objects: Sequence[Datatype], most: int) -> list[bytes | VaultError | None]:
        """As `encode`, of the first of several: their bytes, or what is wrong with one, or None.

        Args:
            most: Bytes after which it ends, as it does after an object that does not fit a block.
        """
        return Blocking.run(self._encode_some, objects, most)

    def write(self, begin: Begin, data: Datatype, encoded: Encoded | None) -> ObjectInfo:
        """Writes an object in blocks: `encoded`, where it is whole already, or as its class streams it.

        When a block changed on its way, or the connection was lost, all of it is sent once more; an object
        whose class streams is dumped once more.
        """
        cutter = BlockCutter()
        try:
            return self._write(begin, data, encoded, cutter)
        except VaultError as error:
            if not worth_repeating(error, cutter.size):
                raise
        return self._write(begin, data, encoded, BlockCutter())

    def decode(self, info: ObjectInfo, raw: bytes) -> Any:
        """The object that small, whole `raw` is.

        Raises:
            CorruptionError: `raw` does not match the object's checksum.
            DecodeError: The tag is not one that the unit's Datatype loads, or its `_load` failed.
        """
        if len(raw) <= _INLINE:
            return self._decode(info, raw)
        return Blocking.run(self._decode, info, raw)

    def decode_some(self, loaded: LoadedObjects) -> list[Any]:
        """The objects of a batch, each from the bytes that came with it, in order; what else an item came to as it is.

        An item whose bytes are not what they should be, or do not load, is the error that `decode` raises.
        """
        if sum(loaded.sizes) <= _INLINE:
            return self._decode_some(loaded)
        return Blocking.run(self._decode_some, loaded)

    def load_stream(self, reader: BlockReader, reopen: Reopen) -> Any:
        """The object whose blocks `reader` yields, from the first to the last; closes it. Raises as `decode`.

        Args:
            reader: Open on the object, and nothing read from it.
            reopen: Opens the same generation from elsewhere, for a `_load_from` that seeks.
        """
        info = reader.info
        source = BlockSource(info, reopen, reader)
        try:
            check_empty(info)
            decoder = self._decoder(info)
            if decoder.streams():
                return Hook.run(self._load_from, decoder, info, _Across(source, Bridge()))
            raw = self._whole(source)
        finally:
            source.close()
        return Blocking.run(self._load, decoder, info, raw)

    @staticmethod
    def _whole(source: BlockSource) -> bytes:
        """All the object's bytes, once in memory: `_load` is promised bytes, and a BytesIO gives its own away,
        where a join of the blocks, or bytes made of a bytearray, would hold them twice."""
        gathered = gathered_bytes(source.info.size)
        for index in range(source.info.block_count):
            gathered.write(source.passing_block(index))
        return gathered.getvalue()

    def _write(self, begin: Begin, data: Datatype, encoded: Encoded | None, cutter: BlockCutter) -> ObjectInfo:
        with begin() as writer:
            if encoded is not None:
                for block in cutter.feed(encoded.data):
                    writer.write(block)
            else:
                sink = _Sink(cutter, writer, Bridge())
                Hook.run(self._dump_to, data, sink)
            for block in cutter.rest():
                writer.write(block)
            return writer.commit(cutter.size, cutter.checksum)

    def _encode_some(self, objects: Sequence[Datatype], most: int) -> list[bytes | VaultError | None]:
        found: list[bytes | VaultError | None] = []
        dumps: dict[type[Datatype], Callable[[Datatype], bytes | None]] = {}
        for data in objects:
            kind = type(data)
            raw: bytes | VaultError | None
            try:
                dump = dumps.get(kind)
                if dump is None:
                    self.check(data)
                    dump = dumps[kind] = self._dump_small if kind.streams() else self._dump
                raw = dump(data)
            except VaultError as error:
                raw = error
            found.append(raw)
            if not isinstance(raw, VaultError):
                most -= BLOCK_SIZE if raw is None else len(raw)
                if raw is None or most <= 0 or len(raw) > BLOCK_SIZE:
                    break
        return found

    def _dump(self, data: Datatype) -> bytes:
        try:
            raw: Any = data._dump()  # noqa: SLF001  # the Datatype's contract
        except Exception as error:  # noqa: BLE001  # it is raised on
            raise self._failed("dump", data, error) from _cause(error)
        if not isinstance(raw, (bytes, bytearray, memoryview)):
            raise EncodeError(
                f"_dump of {type(data).__name__} returned {type(raw).__name__}, not bytes", unit=self._unit
            )
        return bytes(raw)

    def _dump_small(self, data: Datatype) -> bytes | None:
        sink = _SmallSink()
        try:
            data._dump_to(cast(BinaryIO, sink))  # noqa: SLF001  # the Datatype's contract
        except _TooLargeError:
            return None
        except Exception as error:  # noqa: BLE001  # it is raised on
            # A library may wrap what its stream raises.
            if sink.over:
                return None
            raise self._failed("dump", data, error) from _cause(error)
        return None if sink.over else sink.getvalue()

    def _dump_to(self, data: Datatype, sink: "_Sink") -> None:
        try:
            data._dump_to(cast(BinaryIO, sink))  # noqa: SLF001  # the Datatype's contract
        except Exception as error:  # noqa: BLE001  # it is raised on
            if sink.failure is not None:
                raise sink.failure from None
            raise self._failed("dump", data, error) from _cause(error)
        if sink.failure is not None:
            raise sink.failure

    def _failed(self, what: str, data: Datatype, error: Exception) -> EncodeError:
        return EncodeError(
            f"cannot {what} {type(data).__name__} for unit {self._unit!r}: {_text(error)}",
            unit=self._unit,
        )

    def _decode(self, info: ObjectInfo, raw: bytes) -> Any:
        decoder = self._datatype
        if info.datatype != decoder.datatype_tag:
            decoder = self._decoder(info)
        if len(raw) != info.size or checksum(raw) != info.checksum:
            raise _not_as_stored(info)
        try:
            loaded = decoder._load(raw)  # noqa: SLF001  # the Datatype's contract
        except Exception as error:  # noqa: BLE001  # it is raised on
            raise _not_loaded(decoder, info, error) from _cause(error)
        return loaded if isinstance(loaded, Datatype) else _checked(decoder, info, loaded)

    def _decode_some(self, loaded: LoadedObjects) -> list[Any]:
        """As `_decode` of each; the ObjectInfo, which takes as long to make as the rest, for errors alone."""
        objects: list[Any] = []
        decoders: dict[str, type[Datatype]] = {}
        rows = zip(loaded.datatypes, loaded.sizes, loaded.checksums, loaded.data, strict=True)
        for at, (datatype, size, stored, raw) in enumerate(rows):
            if raw is None:  # as where it is one of the others
                objects.append(loaded[at])
                continue
            try:
                decoder = decoders.get(datatype)
                if decoder is None:
                    decoder = decoders[datatype] = self._decoder(loaded.info(at))
                if len(raw) != size or checksum(raw) != stored:
                    raise _not_as_stored(loaded.info(at))
                try:
                    found = decoder._load(raw)  # noqa: SLF001  # the Datatype's contract
                except Exception as error:  # noqa: BLE001  # it is raised on
                    raise _not_loaded(decoder, loaded.info(at), error) from _cause(error)
                objects.append(found if isinstance(found, Datatype) else _checked(decoder, loaded.info(at), found))
            except VaultError as error:
                objects.append(error)
        return objects

    def _decoder(self, info: ObjectInfo) -> type[Datatype]:
        try:
            return self._datatype.decoder_for(info.datatype)
        except DecodeError as error:
            raise DecodeError(
                f"object {info.data_id} in unit {info.unit!r}: {error}{self._undeclared('Type')}",
                reason=error.reason,
                unit=info.unit,
                data_id=info.data_id,
            ) from error

    def _undeclared(self, kind: str) -> str:
        """What to do about an object that is none of bytes, where the unit was not declared; "" where it was."""
        if self._is_declared:
            return ""
        return f": the unit is not declared, and so holds bytes: vault.unit({self._unit!r}, {kind}) declares it"

    def _load(self, decoder: type[Datatype], info: ObjectInfo, raw: bytes) -> Any:
        try:
            loaded = decoder._load(raw)  # noqa: SLF001  # the Datatype's contract
        except Exception as error:  # noqa: BLE001  # it is raised on
            raise _not_loaded(decoder, info, error) from _cause(error)
        return _checked(decoder, info, loaded)

    def _load_from(self, decoder: type[Datatype], info: ObjectInfo, blocks: "_Across") -> Any:
        try:
            with _HookStream(info, blocks, blocks) as stream:
                loaded = decoder._load_from(stream)  # noqa: SLF001  # the Datatype's contract
        except Exception as error:  # noqa: BLE001  # it is raised on
            if blocks.failure is not None:
                raise blocks.failure from None
            raise _not_loaded(decoder, info, error) from _cause(error)
        if blocks.failure is not None:  # whatever the hook made of what it could not read
            raise blocks.failure
        return _checked(decoder, info, loaded)


def _checked(decoder: type[Datatype], info: ObjectInfo, loaded: Any) -> Datatype:
    """What a hook returned, when it is an object of a Datatype."""
    if isinstance(loaded, Datatype):
        return loaded
    raise _not_loaded(decoder, info, TypeError(f"it was loaded as a {type(loaded).__name__}, which is no Datatype"))


def _not_as_stored(info: ObjectInfo) -> CorruptionError:
    return CorruptionError(
        f"object {info.data_id} in unit {info.unit!r} does not match its stored checksum",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
        block=0,
    )


def _not_loaded(decoder: type[Datatype], info: ObjectInfo, error: Exception) -> DecodeError:
    return DecodeError(
        f"object {info.data_id} in unit {info.unit!r} does not load as {decoder.__name__}: {_text(error)}",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
    )


def _text(error: Exception) -> str:
    """What a hook raised; a VaultError says itself what it is about."""
    return str(error) if isinstance(error, VaultError) else f"{type(error).__name__}: {error}"


def _cause(error: Exception) -> BaseException:
    """What a library raised, where the hook made an error of the contract of it."""
    return error.__cause__ or error if isinstance(error, VaultError) else error


class _Across:
    """The blocks of an object for a hook, which may run in another thread than their source.

    Each is fetched across once, however small the pieces are that the hook reads.

    Attributes:
        failure: What the store raised, whatever the hook made of it.
    """

    def __init__(self, source: BlockSource, bridge: Bridge) -> None:
        self.failure: VaultError | None = None
        self._source = source
        self._bridge = bridge
        self._fetched: tuple[int, bytes] = -1, b""

    def block(self, index: int, through: int | None = None) -> bytes:
        if index != self._fetched[0]:
            self._fetched = index, self._call(self._source.block, index, through)
        return self._fetched[1]

    def apart(self, _position: int, _wanted: int) -> bool:
        return False  # a stream is open

    def passing_block(self, index: int, through: int | None = None) -> bytes:
        return self.block(index, through)

    def read(self, offset: int, length: int) -> bytes:
        return b"".join(self.block(index)[start:stop] for index, start, stop in spans(offset, length))

    def map(self) -> memoryview | None:
        return self._call(self._source.map)

    def close(self) -> None:
        """The source is closed where it was opened."""

    def _call(self, function: Callable[..., Returned[T]], *args: Any) -> T:
        try:
            return self._bridge.call(function, *args)
        except VaultError as error:
            self.failure = error
            raise


class _HookStream(ObjectReader):
    """An object as the binary stream that `Datatype._load_from` reads; see `ObjectStream`."""

    def peek(self, _size: int = 0, /) -> bytes:
        """Some of what comes next, without moving; what makes `pickle.load` fast."""
        start = self.tell()
        some = self.read1(io.DEFAULT_BUFFER_SIZE)
        self.seek(start)
        return some

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("the stream of a loaded object is closed: read it while `_load_from` runs")


class _TooLargeError(Exception):
    """An object that is streamed does not fit a block."""


class _SmallSink(io.BufferedIOBase):
    """Takes at most a block. (No BytesIO: that has ways to be written that pass its `write` by.)"""

    def __init__(self) -> None:
        super().__init__()
        self.over = False
        self._taken = io.BytesIO()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken.tell()

    def write(self, data: Any, /) -> int:
        if self.over or self._taken.tell() + memoryview(data).nbytes > BLOCK_SIZE:
            self.over = True
            raise _TooLargeError
        return self._taken.write(data)

    def getvalue(self) -> bytes:
        return self._taken.getvalue()


class _Sink(io.RawIOBase):
    """What `_dump_to` writes to: blocks on their way to the store.

    Attributes:
        failure: What the store raised; it ends the write whatever the hook makes of it.
    """

    def __init__(self, cutter: BlockCutter, writer: BlockWriter, bridge: Bridge) -> None:
        super().__init__()
        self.failure: VaultError | None = None
        self._cutter = cutter
        self._writer = writer
        self._bridge = bridge

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._cutter.size

    def write(self, data: Any, /) -> int:
        if self.failure is not None:
            raise self.failure
        try:
            for block in self._cutter.feed(data):
                self._bridge.call(self._send, block)
        except VaultError as error:
            self.failure = error
            raise
        return memoryview(data).nbytes

    def _send(self, block: Block) -> None:
        self._writer.write(block)
