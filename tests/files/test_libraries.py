"""Other libraries take readers and writers for files."""

import shutil
from pathlib import Path
from typing import BinaryIO, cast

import pandas as pd
import pyarrow.parquet as pq
from PIL import Image
from vault._sync.files.object_reader import open_reader
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE

from tests.files.objects import new_writer, put, some_bytes


def test_pandas_and_pyarrow_write_and_read_tables(any_store: Store) -> None:
    table = pd.DataFrame({"a": range(200_000), "b": [str(number) for number in range(200_000)]})
    with new_writer(any_store, "parquet") as writer:
        table.to_parquet(cast(BinaryIO, writer))
    with new_writer(any_store, "csv") as writer:
        table.to_csv(cast(BinaryIO, writer), index=False)
    assert writer.info.size > BLOCK_SIZE
    with open_reader(any_store, "files", "parquet") as reader:
        assert pd.read_parquet(cast(BinaryIO, reader)).equals(table)
    with open_reader(any_store, "files", "parquet") as reader:
        assert pq.ParquetFile(reader).read(columns=["a"]).num_columns == 1
    with open_reader(any_store, "files", "csv") as reader:
        assert pd.read_csv(cast(BinaryIO, reader), dtype={"b": str}).equals(table)


def test_pillow_writes_and_reads_an_image(any_store: Store) -> None:
    with new_writer(any_store, "image") as writer:
        Image.new("RGB", (64, 48), "red").save(cast(BinaryIO, writer), format="PNG")
    with open_reader(any_store, "files", "image") as reader, Image.open(cast(BinaryIO, reader)) as image:
        assert image.convert("RGB").getpixel((1, 1)) == (255, 0, 0)


def test_shutil_copies_a_reader(any_store: Store, tmp_path: Path) -> None:
    data = some_bytes(2 * BLOCK_SIZE + 3)
    with open_reader(any_store, "files", put(any_store, data).data_id) as reader, (tmp_path / "out").open("wb") as file:
        shutil.copyfileobj(reader, file)
    assert (tmp_path / "out").read_bytes() == data
