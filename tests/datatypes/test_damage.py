"""Changed bytes are refused with a DecodeError, or load as a value that can be used; the process lives on."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from vault import DecodeError, Vault
from vault.datatype import Datatype
from vault.wrappers import JsonWrapper, PickleWrapper
from vault_datatypes import (
    ArrowWrapper,
    MsgspecWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasWrapper,
    PolarsWrapper,
)

from torture.datatypes.bombs import ipc, npy
from torture.datatypes.damage import Struct, damaged


def test_changed_bytes_are_refused_or_load_and_never_end_the_process(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    counts = damaged(seed, 1500, tmp_path)
    assert counts.pop("peak") < 2 << 30
    assert sum(count for name, count in counts.items() if "not shown" not in name) == 1500
    refused = {name for name in counts if name.endswith("refused")}
    assert len(refused) > 15, f"seed {seed}"


def changed_offsets(kind: Any, file: bool) -> bytes:
    """Text whose last offset points far away, which only a full validation sees."""
    table = pa.table({"text": ["some", "text", "that", "is", "there"]})
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    raw: bytes = sink.getvalue().to_pybytes()
    offsets = np.array([0, 4, 8, 12, 14, 19], "<i4").tobytes()
    assert raw.count(offsets) == 1
    return raw.replace(offsets, np.array([0, 4, 1 << 30, 12, 14, 19], "<i4").tobytes())


@pytest.mark.parametrize(("kind", "file"), [(ArrowWrapper, False), (ArrowWrapper, True), (PandasFeatherWrapper, True)])
def test_an_offset_that_points_away_is_refused_before_anybody_follows_it(kind: Any, file: bool) -> None:
    with pytest.raises(DecodeError, match=r"(?i)offset|invalid"):
        kind._load(changed_offsets(kind, file))


def test_a_failure_of_a_decoder_names_unit_and_id(tmp_path: Path) -> None:
    class Raw(Datatype):
        datatype_tag = "pyarrow.Table"

        def _dump(self) -> bytes:
            return changed_offsets(ArrowWrapper, file=False)

    with Vault(tmp_path / "data", {"tables": (Raw, 0)}) as vault:
        data_id = vault.upload("tables", Raw())
    with Vault(tmp_path / "data", {"tables": (ArrowWrapper, 0)}) as vault, pytest.raises(DecodeError) as caught:
        vault.load("tables", data_id)
    assert (caught.value.context["unit"], caught.value.context["data_id"]) == ("tables", data_id)


def deep(opening: bytes) -> bytes:
    return opening * 200_000


HOSTILE: dict[str, tuple[Any, bytes]] = {
    "JSON nested": (JsonWrapper, deep(b"[")),
    "JSON keys nested": (JsonWrapper, deep(b'{"a":')),
    "JSON digits": (JsonWrapper, b"9" * 100_000),
    "MessagePack nested": (MsgspecWrapper.of(Struct), b"\x82\xa4name\xa1a\xa8anything" + deep(b"\x91")),
    "MessagePack's claim": (
        MsgspecWrapper.of(Struct),
        b"\x82\xa4name\xa1a\xa8anything" + b"\xdd\xff\xff\xff\xff",
    ),
    "a header of minus": (NumpyWrapper, npy("'<f8'", "(" + "-" * 40_000 + "1,)")),
    "a header of brackets": (NumpyWrapper, npy("'<f8'", "(" * 40_000)),
    "a header of sums": (NumpyWrapper, npy("'<f8'", "(" + "1+" * 20_000 + "1,)")),
    "a dtype of dtypes": (NumpyWrapper, npy("[('a'," * 2000 + "'<f8'" + ")]" * 2000, "(1,)")),
    "no shape": (NumpyWrapper, npy("'<f8'", "'abc'")),
    "many dimensions": (NumpyWrapper, npy("'|V1'", "(1,) * 100")),
    "an empty pickle": (PickleWrapper, b""),
    "a pickle of nothing": (PickleWrapper, b"\x80\x05c__nowhere__\nnothing\n."),
    "metadata that is none": (
        PandasFeatherWrapper,
        ipc(pa.table({"a": [1]}).replace_schema_metadata({b"pandas": b"[" * 100_000}), file=True),
    ),
    "metadata of others": (
        PandasFeatherWrapper,
        ipc(pa.table({"a": [1]}).replace_schema_metadata({b"VAULT_PANDAS": b'{"names": 5, "freq": []}'}), file=True),
    ),
    "Parquet of nothing": (PandasWrapper, b"PAR1" + bytes(8) + b"PAR1"),
    "polars of nothing": (PolarsWrapper, b"PAR1" + bytes(8) + b"PAR1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_the_bytes_are_it_is_a_decode_error(name: str) -> None:
    kind, raw = HOSTILE[name]
    with pytest.raises(DecodeError):
        kind._load(raw)


def test_an_array_shows_no_memory_that_it_does_not_hold() -> None:
    for descr in ("'|S0'", "'<U0'", "'|V0'", "[]", "[('a', '|S0')]", "('<i4', (0,))", "('<i4', (2,))"):
        with pytest.raises(DecodeError):
            NumpyWrapper._load(npy(descr, "(1000,)"))
