"""Describe views and macros: the SQL that makes them, with a sentence for each of them and for each column.

A view reads Parquet files by paths that start from the variable `root`, or from the working directory where it isn't set: paths are
relative to the catalog's own folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tasks.methods.sql import ROOT, identifier, literal

TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us"): "TIMESTAMP",
}


@dataclass(frozen=True)
class View:
    """A view (or, if `stored`, a table): its name, what one row is, its query, and a sentence for each column in order."""

    name: str
    doc: str
    query: str
    columns: dict[str, str]
    stored: bool = False

    def statements(self) -> list[str]:
        """The SQL that makes the view and comments it."""
        kind, name = "TABLE" if self.stored else "VIEW", ".".join(map(identifier, self.name.split(".")))
        comments = [f"COMMENT ON COLUMN {name}.{identifier(key)} IS {literal(text)}" for key, text in self.columns.items()]
        return [f"CREATE {kind} {name} AS {self.query}", f"COMMENT ON {kind} {name} IS {literal(self.doc)}", *comments]


@dataclass(frozen=True)
class Macro:
    """A question with a name and arguments: `FROM name(...)`."""

    name: str
    arguments: tuple[str, ...]
    doc: str
    query: str

    def statements(self) -> list[str]:
        """The SQL that makes the macro and comments it."""
        name, arguments = identifier(self.name), ", ".join(self.arguments)
        return [f"CREATE MACRO {name}({arguments}) AS TABLE {self.query}", f"COMMENT ON MACRO TABLE {name} IS {literal(self.doc)}"]


def rows_of(schema: pa.Schema, files: Sequence[str]) -> str:
    """A query over Parquet files; without one, a query for no rows of the same types."""
    if not files:
        empty = ", ".join(f"CAST(NULL AS {sql_type(field.type)}) AS {identifier(field.name)}" for field in schema)
        return f"SELECT {empty} WHERE false"
    paths = ", ".join(f"coalesce(getvariable({literal(ROOT)}), '') || {literal(file)}" for file in files)
    columns = ", ".join(identifier(name) for name in schema.names)
    return f"SELECT {columns} FROM read_parquet([{paths}], hive_partitioning = false)"


def sql_type(kind: pa.DataType) -> str:
    """The DuckDB type of a pyarrow type."""
    return f"{sql_type(kind.value_type)}[]" if pa.types.is_list(kind) else TYPES[kind]


def sentences(schema: pa.Schema) -> dict[str, str]:
    """The sentence of every column, which a contract keeps in its field's metadata."""
    return {field.name: (field.metadata or {})[b"comment"].decode() for field in schema}


def table_view(name: str, doc: str, schema: pa.Schema, files: Sequence[str]) -> View:
    """A view that shows a table as it is."""
    return View(name, doc, rows_of(schema, files), sentences(schema))


def live_view(name: str, doc: str, schema: pa.Schema, empty: str) -> View:
    """A view of the files that the variable of its name lists when it is asked; without the variable, of the file `empty`.

    So the catalog's own bytes don't change with tables that grow outside the graph, and that may not be there at all.
    """
    fallback = f"[coalesce(getvariable({literal(ROOT)}), '') || {literal(empty)}]"
    columns = ", ".join(identifier(column) for column in schema.names)
    files = f"coalesce(getvariable({literal(name)}), {fallback})"
    return View(name, doc, f"SELECT {columns} FROM read_parquet({files}, hive_partitioning = false)", sentences(schema))
