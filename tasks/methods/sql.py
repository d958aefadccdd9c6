"""Open DuckDB: a catalog behind a hardened door, where SQL can read the dataset and do nothing else."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

QUIET: dict[str, str | bool | int | float | list[str]] = {  # nothing is fetched, loaded or looked up outside the database
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}
ROOT = "root"  # the variable in which the views look for the folder that their paths start from
EXPLAIN = re.compile(r"\s*explain\s+(?:analyze\s+)?", re.IGNORECASE)
Values = Sequence[Any] | Mapping[str, Any]


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory, for our own SQL."""
    return duckdb.connect(":memory:", config=dict(QUIET))


class Catalog:
    """An open catalog that answers SELECT (and DESCRIBE, SUMMARIZE, SHOW, EXPLAIN) statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spill: tempfile.TemporaryDirectory[str]) -> None:
        self._connection = connection
        self._spill = spill

    def harden(self, path: Path, folders: Sequence[Path]) -> None:
        """Attach the database and shut everything else; there is no way back."""
        allowed = ", ".join(literal(f"{folder}/") for folder in folders)
        for statement in (
            f"ATTACH {literal(str(path))} AS sluice (READ_ONLY)",
            "USE sluice",
            f"SET VARIABLE {ROOT} = {literal(f'{path.parent}/')}",
            f"SET allowed_directories = [{allowed}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(statement)

    def execute(self, sql: str, values: Values = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement with its values bound; the result has `description`, `fetchmany` and so on.

        Raises ValueError for what is no single reading statement, duckdb.Error for what DuckDB refuses.
        """
        bound = dict(values) if isinstance(values, Mapping) else list(values)
        self._check(sql, bound)
        return self._connection.execute(sql, bound)

    def check(self, sql: str) -> None:
        """Raise ValueError for what is no single reading statement, duckdb.Error for what DuckDB refuses; nothing is read."""
        self._check(sql, [])

    def table(self, sql: str, values: Values = ()) -> pa.Table:
        """The same as an Arrow table."""
        bound = dict(values) if isinstance(values, Mapping) else list(values)
        self._check(sql, bound)
        return self._connection.sql(sql, params=bound).to_arrow_table()

    def _check(self, sql: str, values: Any) -> None:
        """Folders that may be read may also be written to, as far as DuckDB's settings go: only the statement can tell."""
        statements = self._connection.extract_statements(sql)
        if len(statements) != 1:
            raise ValueError(f"one statement at a time, got {len(statements)}")
        kind = statements[0].type
        if kind == duckdb.StatementType.EXPLAIN:
            return self._check(EXPLAIN.sub("", sql, count=1), values)
        if kind != duckdb.StatementType.SELECT:
            raise ValueError(f"the catalog is read-only: {kind.name} is not allowed, use SELECT")
        # `WITH x AS (COPY ...) SELECT ...` counts as SELECT, but only at the top level: inside a subquery it can't be bound.
        self._connection.execute(f"EXPLAIN SELECT * FROM (\n{statements[0].query.strip().rstrip(';')}\n)", values)
        return None

    def interrupt(self) -> None:
        """Stop the statement that runs now in another thread: it fails with duckdb.InterruptException."""
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()
        self._spill.cleanup()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_catalog(path: Path, root: Path, folders: Sequence[Path], limits: Mapping[str, str] | None = None) -> Catalog:
    """Open the catalog at `path` for reading, from any working directory.

    SQL can read files in `folders` (relative to `root`) and nowhere else; `limits` are further settings of DuckDB, such as memory_limit.
    Raises ValueError if there is no catalog.
    """
    if not path.is_file():
        raise ValueError(f"no catalog at {path}: run `dvc repro catalog` first")
    spill = tempfile.TemporaryDirectory(prefix="sluice-")
    settings = QUIET | dict(limits or {}) | {"temp_directory": str(Path(spill.name) / "duckdb")}
    catalog = Catalog(duckdb.connect(":memory:", config=settings), spill)
    try:
        catalog.harden(path.resolve(), [(root / folder).resolve() for folder in folders])
    except duckdb.Error:
        catalog.close()
        raise
    return catalog


def literal(text: str | None) -> str:
    """Text as an SQL literal, for statements that take no bound values."""
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
