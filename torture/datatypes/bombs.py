"""Small objects that come to much memory, one for each way that a format has to say it."""

import contextlib
import io
import json
import math
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import vault_datatypes
from PIL import Image
from vault.errors import DecodeError
from vault.wrappers import Wrapper
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasWrapper,
    PolarsWrapper,
)

LONG = "x" * (1 << 20)


def parquet(table: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **{"compression": "zstd", **options})
    return stream.getvalue()


def ipc(table: Any, *, file: bool) -> bytes:
    stream = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(stream, table.schema, options=options) as writer:
        writer.write_table(table)
    return stream.getvalue()


def zeros(size: int) -> Any:
    return pa.table({"a": np.zeros(size // 8)})


def repeated(size: int) -> Any:
    return pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(size // len(LONG), "i4"), pa.array([LONG]))})


def nested(size: int) -> Any:
    inner = repeated(size).column("a").chunk(0)
    return pa.table({"a": pa.ListArray.from_arrays(np.arange(len(inner) + 1, dtype="i4"), inner)})


def prefixed(size: int) -> bytes:
    table = pa.table({"a": pa.array([LONG] * (size // len(LONG)), pa.large_string())})
    return parquet(table, use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"})


def png(size: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = math.isqrt(size // 4)
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(bytes(1 + 3 * side)) for _ in range(side)]) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def picture(format: str, size: int, mode: str = "RGB") -> bytes:  # noqa: A002  # Pillow's word
    stream = io.BytesIO()
    options: Any = {"WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_deflate"}}.get(format, {})
    side = math.isqrt(size // 4)
    Image.new(mode, (side, side)).save(stream, format, **options)
    return stream.getvalue()


def polars(size: int) -> bytes:
    stream = io.BytesIO()
    pl.DataFrame({"a": np.zeros(size // 8)}).write_parquet(stream, compression="zstd")
    return stream.getvalue()


def npy(descr: str, shape: str) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def claiming(size: int) -> bytes:
    """A compressed buffer that says it is 64 GiB."""
    raw = ipc(zeros(8000), file=False)
    packed = struct.pack("<q", 8000) + b"\x28\xb5\x2f\xfd"  # before the magic number of zstd
    assert raw.count(packed) == 1
    return raw.replace(packed, struct.pack("<q", 64 << 30) + packed[8:])


Make = Callable[[int], bytes]
"""Makes an object that comes to about so many bytes, or to far more."""

BOMBS: dict[str, tuple[type[Wrapper], Make]] = {
    "Parquet zeros": (PandasWrapper, lambda size: parquet(zeros(size))),
    "Parquet plain zeros": (PandasWrapper, lambda size: parquet(zeros(size), use_dictionary=False)),
    "Parquet nulls": (PandasWrapper, lambda size: parquet(pa.table({"a": pa.nulls(size // 8, pa.int64())}))),
    "Parquet dictionary": (PandasWrapper, lambda size: parquet(repeated(size), store_schema=False)),
    "Parquet dictionary in lists": (PandasWrapper, lambda size: parquet(nested(size), store_schema=False)),
    "Parquet beginnings": (PandasWrapper, prefixed),
    "Feather": (PandasFeatherWrapper, lambda size: ipc(zeros(size), file=True)),
    "Feather of nothing": (
        PandasFeatherWrapper,
        lambda _: ipc(pa.table({"a": pa.nulls((1 << 31) - 1)}), file=True),
    ),
    "Arrow": (ArrowWrapper, lambda size: ipc(zeros(size), file=False)),
    "Arrow's header": (ArrowWrapper, claiming),
    "polars zeros": (PolarsWrapper, lambda size: parquet(zeros(size))),
    "polars' own": (PolarsWrapper, polars),
    "polars beginnings": (PolarsWrapper, prefixed),
    "PNG": (ImageWrapper, png),
    "WEBP": (ImageWrapper, lambda size: picture("WEBP", size)),
    "TIFF": (ImageWrapper, lambda size: picture("TIFF", size)),
    "GIF": (ImageWrapper, lambda size: picture("GIF", 4 * size, "L")),
    "npy": (NumpyWrapper, lambda _: npy("'<f8'", "(8589934592,)")),
    "npy of nothing": (NumpyWrapper, lambda _: npy("'|S0'", "(1000000000,)")),
    "npy of empty fields": (NumpyWrapper, lambda _: npy("[('a', '|S0')]", "(1000000000,)")),
    "npy of less than nothing": (NumpyWrapper, lambda _: npy("'<f8'", "(-1, -8)") + bytes(64)),
}


def main() -> None:
    """Loads the files in a folder, each as the class in its name; prints what came of it, and how memory grew."""
    folder, allowed = Path(sys.argv[1]), int(sys.argv[2])
    warnings.simplefilter("ignore")  # Pillow's, of large images
    for path in sorted(folder.iterdir()):
        kind: Any = type("Bounded", (getattr(vault_datatypes, path.suffix[1:]),), {}, max_decoded=allowed)
        raw = path.read_bytes()
        with contextlib.suppress(DecodeError):
            kind._load(raw[:1000])  # the libraries then have what they need to refuse
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = peak()
        try:
            kind._load(raw)
            outcome = "loaded"
        except DecodeError as error:
            outcome = str(error)
        print(json.dumps([path.stem, len(raw), peak() - before, outcome]))


def peak() -> int:
    """Bytes of memory that this process had at the most; 0 where the system has no /proc."""
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def outcomes(size: int, allowed: int, folder: Path) -> dict[str, tuple[int, int, str]]:
    """Of each bomb, loaded in another process: its bytes, those by which memory grew, what it was refused with."""
    for name, (kind, make) in BOMBS.items():
        (folder / f"{name}.{kind.__name__}").write_bytes(make(size))
    command = [sys.executable, "-m", "torture.datatypes.bombs", str(folder), str(allowed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return {
        name: (stored, grown, outcome) for name, stored, grown, outcome in map(json.loads, done.stdout.splitlines())
    }


if __name__ == "__main__":
    main()
