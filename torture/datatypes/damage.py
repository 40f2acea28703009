"""Changed bytes of every Datatype's objects, loaded and used: a DecodeError, or a value; never anything else.

Run as a program, in a process of its own, since what is looked for may end it.
"""

import argparse
import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
from PIL import Image
from vault.errors import DecodeError
from vault.wrappers import JsonDatatype, JsonWrapper, TextWrapper, Wrapper
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    MsgspecWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasWrapper,
    PolarsWrapper,
    PydanticWrapper,
)

from tests.datatypes.streams import InStream
from torture.datatypes.bombs import ipc, parquet, peak


class Model(pydantic.BaseModel):
    name: str = "a"
    anything: Any = None
    values: list[float | int] = []


class Struct(msgspec.Struct):
    name: str = "a"
    anything: Any = None
    values: list[int] = []


class Page(JsonDatatype):
    def __init__(self) -> None:
        self.links = ["a", 1, None]


MEMORY = 12 << 30
"""Bytes of addresses that the process may take; what claims more is refused, or ends it."""

Use = Callable[[Any], object]


def _frame() -> pd.DataFrame:
    rows = 40
    return pd.DataFrame(
        {
            "numbers": np.arange(rows),
            "floats": np.linspace(0, 1, rows),
            "text": ["some text", None] * (rows // 2),
            "categories": pd.Categorical(["a", "b"] * (rows // 2)),
            "times": pd.date_range("2020", periods=rows, tz="Europe/Berlin"),
            "nullable": pd.array([1, None] * (rows // 2), dtype="Int64"),
            "arrays": [np.array([1, 2])] * rows,
            "periods": pd.period_range("2020", periods=rows, freq="M"),
            "bytes": [b"a", b"bc"] * (rows // 2),
        },
        index=pd.date_range("2021", periods=rows, freq="D", name=0),
    )


def _table() -> Any:
    text = pa.array(["a", "bcd", None] * 10)
    return pa.table(
        {
            "text": text,
            "dictionary": text.dictionary_encode(),
            "view": text.cast(pa.string_view()),
            "lists": pa.array([[1, None], [], None] * 10, pa.list_(pa.int32())),
            "structs": pa.array([{"x": 1, "y": "a"}, None, {"x": 2, "y": None}] * 10),
            "map": pa.array([[("a", 1)], [], None] * 10, pa.map_(pa.string(), pa.int8())),
            "runs": pa.array([1, 1, 2] * 10).cast(pa.int64()),
            "decimal": pa.array([None, 1, 2] * 10, pa.decimal128(9, 2)),
            "times": pa.array([1, 2, None] * 10, pa.timestamp("us", "UTC")),
            "nulls": pa.nulls(30),
        }
    )


def _arrow_used(table: Any) -> object:
    for use in (table.to_pylist, table.to_pandas, table.combine_chunks):
        with contextlib.suppress(Exception):  # values that Python or pandas does not have, such as years from 10,000 on
            use()
    return table.equals(table.slice(0))


def _images() -> dict[str, bytes]:
    image = Image.linear_gradient("L").resize((24, 24)).convert("RGB")
    image.getexif()[0x010E] = "description"
    image.info["icc_profile"] = b"profile" * 10
    options: dict[str, Any] = {"WEBP": {"lossless": True}}
    found = {name: ImageWrapper(image, name, options.get(name))._dump() for name in ("PNG", "JPEG", "WEBP", "TIFF")}
    grey = Image.linear_gradient("L").resize((24, 24))
    found["TIFF packed"] = ImageWrapper(grey, "TIFF", {"compression": "tiff_lzw"})._dump()
    return {**found, "GIF": ImageWrapper(grey, "GIF")._dump(), "BMP": ImageWrapper(grey, "BMP")._dump()}


def corpus() -> dict[str, tuple[Any, bytes, Use]]:
    """Of each way in which an object may be stored: the class that loads it, its bytes, how it is used then."""
    frame, table, nothing = _frame(), _table(), lambda value: repr(value)[:100]
    models: Any = PydanticWrapper.of(Model)
    structs: Any = MsgspecWrapper.of(Struct)
    polars = pl.DataFrame(
        {
            "a": range(30),
            "text": ["a", None, "ccc"] * 10,
            "lists": [[1, 2]] * 30,
            "kinds": pl.Series(["a", "b", "c"] * 10, dtype=pl.Categorical),
        }
    )
    record = np.array([(1, 2.5, "x")], dtype=[("a", "<i4"), ("b", ">f8"), ("c", "U3")])
    samples: dict[str, tuple[type[Wrapper | JsonDatatype], bytes, Use]] = {
        "text": (TextWrapper, "grüße".encode(), nothing),
        "json": (JsonWrapper, JsonWrapper({"a": [1, 2.5, {"b": None}]})._dump(), nothing),
        "attributes": (Page, Page()._dump(), lambda page: vars(page)),
        "pydantic": (models, models(Model(anything={"a": [1]}, values=[1.5, 2]))._dump(), nothing),
        "msgspec": (structs, structs(Struct(anything={"a": [1]}, values=[1, 2]))._dump(), nothing),
        "npy": (NumpyWrapper, NumpyWrapper(np.arange(24).reshape(2, 3, 4))._dump(), lambda array: array.tolist()),
        "npy of records": (NumpyWrapper, NumpyWrapper(record)._dump(), lambda array: array.tolist()),
        "pandas": (PandasWrapper, PandasWrapper(frame)._dump(), lambda loaded: (repr(loaded), loaded.to_dict())),
        "pandas plain": (PandasWrapper, parquet(table.drop(["nulls"]), use_dictionary=False, compression="none"), repr),
        "feather": (PandasFeatherWrapper, PandasFeatherWrapper(frame)._dump(), lambda loaded: loaded.to_dict()),
        "feather of a table": (PandasFeatherWrapper, ipc(table, file=True), repr),
        "arrow": (ArrowWrapper, ArrowWrapper(table)._dump(), _arrow_used),
        "arrow packed": (ArrowWrapper, ipc(table, file=False), _arrow_used),
        "polars": (PolarsWrapper, PolarsWrapper(polars)._dump(), lambda loaded: loaded.rows()),
    }
    for name, raw in _images().items():
        samples[name] = (ImageWrapper, raw, lambda image: (image.tobytes(), image.convert("RGBA")))
    return samples


def changed(raw: bytes, chance: random.Random) -> bytes:
    """The bytes, in one of the ways in which they may be changed."""
    data = bytearray(raw)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(8):
            case 0 | 1 | 2:
                if data:
                    data[at] ^= 1 << chance.randrange(8)
            case 3:
                if data:
                    data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 4:
                del data[at:]
            case 5:
                del data[at : at + chance.choice([1, 4, 8])]
            case 6:
                number = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1])
                width = chance.choice([4, 8])
                data[at : at + width] = (number & (256**width - 1)).to_bytes(width, "little")
            case _:
                data[at:at] = data[at : at + chance.choice([1, 8, 64])]
    return bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True, help="loads")
    parser.add_argument("--last", type=Path, required=True, help="where what is being loaded is kept")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))
    warnings.simplefilter("ignore")
    chance = random.Random(options.seed)
    samples = corpus()
    for name, (kind, raw, use) in samples.items():
        use(_value(kind._load(raw), name))
    counts: Counter[str] = Counter()
    for number in range(options.count):
        name = chance.choice(list(samples))
        kind, raw, use = samples[name]
        raw = changed(raw, chance)
        options.last.write_bytes(raw)
        try:
            stream = InStream(raw)
            loaded = kind._load_from(stream) if chance.random() < 0.3 and kind.streams() else kind._load(raw)
        except DecodeError:
            counts[f"{name}: refused"] += 1
            continue
        except BaseException as error:
            print(f"load {number}, {name}: {type(error).__name__}: {error}", file=sys.stderr)
            raise
        counts[f"{name}: loaded"] += 1
        try:
            use(_value(loaded, name))
        except Exception:  # noqa: BLE001  # a changed value may be one that Python does not have
            counts[f"{name}: loaded, and not shown"] += 1
    print(json.dumps({**counts, "peak": peak()}))
    return 0


def damaged(seed: int, count: int, folder: Path) -> dict[str, int]:
    """What came of so many loads in another process, and the peak of its memory in bytes.

    Raises:
        AssertionError: It ended otherwise than by itself, or something else than a DecodeError came.
    """
    last = folder / "last"
    last.touch()
    command = [sys.executable, "-m", "torture.datatypes.damage"]
    command += ["--seed", str(seed), "--count", str(count), "--last", str(last)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + count / 10)
    if done.returncode:
        kept = Path(tempfile.mkdtemp(prefix="vault-damage-")) / "last"
        kept.write_bytes(last.read_bytes())
        raise AssertionError(f"seed {seed}: ended with {done.returncode} over {kept}\n{done.stderr[-3000:]}")
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


def _value(loaded: Any, name: str) -> Any:
    return loaded if name == "attributes" else loaded.data


if __name__ == "__main__":
    sys.exit(main())
