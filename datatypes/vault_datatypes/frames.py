"""What tells two pandas DataFrames apart, strictly: dtypes, kinds of index, names, categories, order of them.

pandas' own `equals` and `assert_frame_equal` take several kinds of these for the same.
"""

from typing import Any

import numpy as np
import pandas as pd
from vault.store.limits import shown

from vault_datatypes.equality import difference


def frame_difference(before: pd.DataFrame, after: pd.DataFrame) -> str | None:
    """What of `before` is another in `after`, and what to do about it; None where nothing is."""
    found = _index_difference(before.columns, after.columns)
    if found:
        return f"the columns' {found}; rename them, all as text"
    found = _index_difference(before.index, after.index)
    if found:
        return f"the index' {found}; reset_index() makes it a column"
    for position, name in enumerate(before.columns):
        one, other = before.iloc[:, position], after.iloc[:, position]
        if found := _array_difference(one.array, other.array):
            return f"column {name!r}: {found}"
    if found := difference(before.attrs, after.attrs, "attrs"):
        return f"{found}; they are stored as JSON"
    if before.flags.allows_duplicate_labels != after.flags.allows_duplicate_labels:
        return "flags.allows_duplicate_labels is not stored: set it to True"
    return None


def _index_difference(before: Any, after: Any) -> str | None:
    if type(before) is not type(after):
        return f"kind: a {type(before).__name__} would come back as a {type(after).__name__}"
    if found := difference(list(before.names), list(after.names)):
        return f"names {list(before.names)} would come back as {list(after.names)} ({found})"
    if isinstance(before, pd.MultiIndex):
        for level in range(before.nlevels):
            found = _dtype_difference(before.levels[level].dtype, after.levels[level].dtype)
            if found := found or _index_difference(before.get_level_values(level), after.get_level_values(level)):
                return f"level {level}: {found}"
        return None
    if getattr(before, "freq", None) != getattr(after, "freq", None):
        return f"freq {before.freq} would come back as {after.freq}"
    if isinstance(before, pd.RangeIndex):
        return None if repr(before) == repr(after) else f"{before} would come back as {after}"
    return _array_difference(before.array, after.array)


def _array_difference(before: Any, after: Any) -> str | None:
    before, after = (
        each.to_numpy() if isinstance(each, pd.arrays.NumpyExtensionArray) else each for each in (before, after)
    )
    if found := _dtype_difference(before.dtype, after.dtype):
        return found
    if len(before) != len(after):
        return f"{len(before)} rows would come back as {len(after)}"
    if isinstance(before, pd.Categorical):
        return None if np.array_equal(before.codes, after.codes) else "other categories would come back"
    if isinstance(before, pd.arrays.IntervalArray):
        ends = ((before.left, after.left), (before.right, after.right))
        return next(filter(None, (_array_difference(one.array, other.array) for one, other in ends)), None)
    if hasattr(before, "asi8"):  # times, spans and periods, as whole numbers
        return _numbers_difference(before.asi8, after.asi8, before)
    if before.dtype == object:
        return _objects_difference(before, after)
    if isinstance(before.dtype, np.dtype):
        return _numbers_difference(before, after, before)
    return _extension_difference(before, after)


def _dtype_difference(before: Any, after: Any) -> str | None:
    if before != after or type(before) is not type(after):
        return f"{before} would come back as {after}; {_instead(before)}"
    if isinstance(before, pd.CategoricalDtype):
        if before.ordered != after.ordered:
            return "whether the categories are in order would come back otherwise"
        if found := _index_difference(before.categories, after.categories):
            return f"its categories: {found}; {_instead(before)}"
    return None


def _instead(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        kind = dtype.categories.dtype
        if isinstance(kind, pd.IntervalDtype):
            return "make the categories text: .cat.rename_categories(str)"
        return (
            "make the categories text, .cat.rename_categories(str); PandasFeatherWrapper keeps numbers and dates, too"
        )
    if dtype == np.dtype(object):
        return "give the column a dtype, or make its values text"
    if isinstance(dtype, pd.SparseDtype):
        return "make it dense: .sparse.to_dense()"
    return "convert it with .astype"


def _numbers_difference(before: Any, after: Any, values: Any) -> str | None:
    if before.dtype.kind == "c":
        parts = ((before.real, after.real), (before.imag, after.imag))
        return next(filter(None, (_numbers_difference(*part, values) for part in parts)), None)
    if before.dtype.kind == "f":  # to the bit, but for what kind of not-a-number it is
        bits, others = (np.ascontiguousarray(each).view(f"u{before.dtype.itemsize}") for each in (before, after))
        same = (bits == others) | (np.isnan(before) & np.isnan(after))
    else:
        same = before == after
    return _row_difference(same, values, after)


def _row_difference(same: Any, values: Any, after: Any) -> str | None:
    if same.all():
        return None
    row = int(np.argmin(same))
    return f"row {row}: {shown(values[row])} would come back as {shown(after[row])}"


def _objects_difference(before: Any, after: Any) -> str | None:
    for row, (one, other) in enumerate(zip(before, after, strict=True)):
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype == other.dtype:
            if one.dtype == object:
                found = difference(one.tolist(), other.tolist(), f"row {row}")
            else:
                found = None if one.tobytes() == other.tobytes() and one.shape == other.shape else f"row {row} changes"
        else:
            found = difference(one, other, f"row {row}")
        if found:
            return f"{found}; give the column a dtype, or make its values text"
    return None


def _extension_difference(before: Any, after: Any) -> str | None:
    missing = np.asarray(before.isna())
    if not np.array_equal(missing, np.asarray(after.isna())):
        return "other values would be missing"
    kind = getattr(before.dtype, "numpy_dtype", None)
    if kind is not None and kind.kind in "biuf" and hasattr(before, "_mask"):  # Int64 and its like
        return _numbers_difference(before[~missing].to_numpy(kind), after[~missing].to_numpy(kind), before[~missing])
    if isinstance(before.dtype, pd.StringDtype):
        same = missing.copy()
        same[~missing] = before[~missing] == after[~missing]
        return _row_difference(same, before, after)
    return _objects_difference(before, after)
