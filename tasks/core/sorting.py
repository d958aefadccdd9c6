"""Sort tables of any size: pyarrow puts a column together before it takes rows of it, and offsets of 32 bits count 2^31 bytes."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def sorted_rows(table: pa.Table, key: Sequence[str], *, rows_per_chunk: int) -> pa.Table:
    """The rows, ascending by the columns `key`, in chunks, each with narrow types (`narrow_type`).

    Columns of more than 2^31 bytes must be of wide types. Raises ArrowInvalid where such a one isn't, or one chunk holds more.
    """
    order = pc.sort_indices(table, [(name, "ascending") for name in key])
    schema = pa.schema([field.with_type(narrow_type(field.type)) for field in table.schema])
    rows = table.combine_chunks()
    chunks = [rows.take(order.slice(first, rows_per_chunk)).cast(schema) for first in range(0, len(order), rows_per_chunk)]
    return pa.concat_tables(chunks) if chunks else schema.empty_table()


def narrow_type(kind: pa.DataType) -> pa.DataType:
    """string for large_string, list for large_list, also inside lists; any other type is itself."""
    if pa.types.is_large_list(kind):
        return pa.list_(narrow_type(kind.value_type))
    return pa.string() if pa.types.is_large_string(kind) else kind
