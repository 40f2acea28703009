"""What decoding and comparing adds to encoding, for each Datatype that does it.

python scripts/benchmarks/verifying.py
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
from PIL import Image
from vault.wrappers import JsonWrapper, PickleWrapper
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    MsgspecWrapper,
    PandasFeatherWrapper,
    PandasWrapper,
    PolarsWrapper,
    PydanticWrapper,
)

ROWS, ROUNDS = 1_000_000, 7


class User(pydantic.BaseModel):
    name: str
    emails: list[str]
    scores: dict[str, float]


class Person(msgspec.Struct):
    name: str
    emails: list[str]
    scores: dict[str, float]


def columns() -> dict[str, Any]:
    chance = np.random.default_rng(0)
    return {
        "a": chance.random(ROWS),
        "b": chance.integers(0, 1000, ROWS),
        "c": chance.choice(np.array(["one", "two", "three"]), ROWS),
        "d": np.arange(ROWS).astype("M8[us]"),
    }


def picture() -> Image.Image:
    side = np.linspace(0, 255, 2000)
    smooth = (side[:, None] + side[None, :]) / 2
    noise = np.random.default_rng(0).integers(0, 8, (2000, 2000, 3))
    return Image.fromarray((smooth[..., None] * 0.95 + noise).astype("u1"))


def cases() -> dict[str, tuple[type, Any, int]]:
    fields: Any = {
        "name": "Ada",
        "emails": [f"{number}@example.org" for number in range(20)],
        "scores": {str(number): number / 7 for number in range(50)},
    }
    frame = pd.DataFrame(columns())
    return {
        "pandas, Parquet": (PandasWrapper, frame, 1),
        "pandas, Feather": (PandasFeatherWrapper, frame, 1),
        "polars": (PolarsWrapper, pl.DataFrame(columns()), 1),
        "pyarrow": (ArrowWrapper, pa.table(columns()), 1),
        "image, PNG": (ImageWrapper, picture(), 1),
        "pydantic": (PydanticWrapper.of(User), User(**fields), 2000),
        "msgspec": (MsgspecWrapper.of(Person), Person(**fields), 2000),
        "pickle": (PickleWrapper, fields, 2000),
    }


def cpu(action: Callable[[], object], times: int) -> float:
    """Seconds of CPU of one, the median of several rounds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            action()
        taken.append((time.process_time() - start) / times)
    return statistics.median(taken)


def main() -> None:
    print(f"| {'':16} | encoding | verified |  adds |\n| --- | ---: | ---: | ---: |")
    for name, (kind, data, times) in cases().items():
        loose: Any = type("Loose", (kind,), {}, verify=False)
        plain, verified = (cpu(each(data)._dump, times) for each in (loose, kind))  # noqa: SLF001  # what is measured
        print(f"| {name:16} | {plain * 1e3:.3g} ms | {verified * 1e3:.3g} ms | {(verified / plain - 1) * 100:.0f} % |")
    data = cases()["pickle"][1]
    checked = cpu(JsonWrapper(data)._dump, 2000)  # noqa: SLF001  # what is measured
    print(f"JSON of the same fields, looked through first: {checked * 1e6:.1f} µs")


if __name__ == "__main__":
    main()
