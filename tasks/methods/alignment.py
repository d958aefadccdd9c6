"""Align tables: where each sample stands in another table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def places(wanted: pa.ChunkedArray | pa.Array, ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """(len(wanted),) int64: the first place of each wanted id in `ids`, -1 where it isn't there."""
    found = pc.index_in(wide(wanted), value_set=_combined(wide(ids)))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def wide(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The same values with offsets of 64 bits: an array of pa.string() holds 2^31 bytes, which are the ids of 67 million samples."""
    return values.cast(wide_type(values.type))


def wide_rows(table: pa.Table) -> pa.Table:
    """The table with wide types: Arrow puts a column together before it takes rows of it."""
    return table.cast(wide_schema(table.schema))


def wide_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with wide types (`wide_type`)."""
    return pa.schema([field.with_type(wide_type(field.type)) for field in schema])


def wide_type(kind: pa.DataType) -> pa.DataType:
    """large_string for string, large_list for list, also inside lists; any other type is itself."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(wide_type(kind.value_type))
    return pa.large_string() if pa.types.is_string(kind) else kind


def codes(values: Sequence[str | None], names: Sequence[str]) -> np.ndarray:
    """(n,) int64: number of each value among the names, -1 for null and for names that aren't there."""
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([-1 if value is None else numbers.get(value, -1) for value in values], np.int64)


def matrix(column: pa.ChunkedArray | pa.Array, width: int | None = None) -> np.ndarray:
    """(n, width) float32 of a list column; rows that are null are zero. Raises ValueError for rows of different lengths."""
    values = _combined(column)
    flat = np.asarray(values.flatten().to_numpy(zero_copy_only=False), np.float32)
    there = np.asarray(values.is_valid().to_numpy(zero_copy_only=False), bool)
    width = width if width is not None else (len(flat) // max(int(there.sum()), 1))
    if len(flat) != int(there.sum()) * width:
        raise ValueError(f"{int(there.sum())} embeddings hold {len(flat)} numbers, not {width} each: make them anew with one encoder")
    result = np.zeros((len(values), width), np.float32)
    result[there] = flat.reshape(-1, width)
    return result


def padded(column: pa.ChunkedArray | pa.Array, fill: float, dtype: type) -> np.ndarray:
    """(n, longest) of a list column, short rows filled up."""
    rows = _combined(column)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(rows), 0).to_numpy(zero_copy_only=False), np.int64)
    result: np.ndarray = np.full((len(rows), int(lengths.max(initial=0))), fill, dtype)
    result[np.arange(result.shape[1]) < lengths[:, None]] = rows.flatten().to_numpy(zero_copy_only=False)
    return result


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
