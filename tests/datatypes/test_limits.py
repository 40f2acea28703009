"""What comes to more memory than is allowed is refused before it takes it."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image
from vault.errors import DecodeError, EncodeError
from vault_datatypes import ArrowWrapper, ImageWrapper, PandasFeatherWrapper, PandasWrapper, PolarsWrapper

from torture.datatypes.bombs import BOMBS, LONG, ipc, outcomes, parquet, repeated, zeros

ALLOWED, SIZE = 4 << 20, 64 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_bombs_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    seen = outcomes(SIZE, ALLOWED, tmp_path)
    assert seen.keys() == BOMBS.keys()
    assert not {name: outcome for name, (_, _, outcome) in seen.items() if outcome == "loaded"}
    assert not {name: grown for name, (_, grown, _) in seen.items() if grown > SIZE // 3}


def test_three_hundred_bytes_of_gigabytes_are_refused_by_default() -> None:
    raw = parquet(repeated(1700 << 20), store_schema=False)
    assert len(raw) < 1000
    with pytest.raises(DecodeError, match=r"max_decoded=\d+ << 20\) takes them"):
        PandasWrapper._load(raw)


FITTING: dict[str, tuple[Any, Any]] = {
    "pandas": (PandasWrapper, pd.DataFrame({"a": np.zeros(SIZE // 8)})),
    "feather": (PandasFeatherWrapper, pd.DataFrame({"a": np.zeros(SIZE // 8)})),
    "pandas text": (PandasWrapper, pd.DataFrame({"a": [LONG] * 64})),
    "polars": (PolarsWrapper, pl.DataFrame({"a": np.zeros(SIZE // 8)})),
    "image": (ImageWrapper, Image.new("RGB", (4000, 4000))),
}


@pytest.mark.parametrize("name", FITTING)
def test_what_would_not_be_loaded_is_not_stored_and_a_keyword_allows_it(name: str) -> None:
    kind, value = FITTING[name]
    small: Any = type("Small", (kind,), {}, max_decoded=ALLOWED)
    with pytest.raises(EncodeError, match="max_decoded="):
        small(value)._dump()
    raw = kind(value)._dump()
    with pytest.raises(DecodeError, match="max_decoded="):
        small._load(raw)
    large: Any = type("Large", (small,), {}, max_decoded=2 * SIZE)
    assert large._load(raw).data is not None


def test_what_is_large_as_it_is_stored_needs_no_keyword() -> None:
    noise = np.random.default_rng(0).random(3 << 20)
    for kind, value in (
        (PandasWrapper, pd.DataFrame({"a": noise})),
        (PolarsWrapper, pl.DataFrame({"a": noise})),
        (ArrowWrapper, pa.table({"a": noise})),
    ):
        small: Any = type("Small", (kind,), {}, max_decoded=1000)
        assert small._load(small(value)._dump()).data is not None


def test_many_columns_of_dictionaries_are_counted_as_they_are() -> None:
    values = np.array([f"text number {number}" for number in range(50_000)])
    frame = pd.DataFrame({name: np.random.default_rng(0).choice(values, 200_000) for name in "abcd"})
    for kind in (PandasWrapper, PandasFeatherWrapper):
        assert kind._load(kind(frame)._dump()).data.equals(frame)


def test_a_table_that_was_stored_compressed_loads_within_its_bound() -> None:
    table = zeros(SIZE // 4)
    for file in (False, True):
        assert ArrowWrapper._load(ipc(table, file=file)).data.equals(table)
    assert io.BytesIO(ipc(table, file=True)).read(6) == b"ARROW1"
