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
DVC_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}\Z")
Values = Sequence[Any] | Mapping[str, Any]


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory, for our own SQL."""
    return duckdb.connect(":memory:", config=dict(QUIET))


class Catalog:
    """An open catalog that answers SELECT (and DESCRIBE, SUMMARIZE, SHOW, EXPLAIN) statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spill: tempfile.TemporaryDirectory[str]) -> None:
        self._connection = connection
        self._spill = spill

    def harden(self, path: Path, folders: Sequence[Path], live: Mapping[str, Path]) -> None:
        """Attach the database, say where the `live` tables lie, and shut everything else; there is no way back."""
        there = {name: folder for name, folder in live.items() if next(folder.rglob("*.parquet"), None)}  # DuckDB refuses an empty list
        patterns = {name: escaped(folder) for name, folder in there.items()}  # DuckDB judges both the pattern and the file
        allowed = ", ".join(literal(f"{folder}/") for folder in (*folders, *there.values(), *patterns.values()))
        linked = ", ".join(literal(str(file)) for file in targets(folders))
        for statement in (
            f"ATTACH {literal(str(path))} AS sluice (READ_ONLY)",
            "USE sluice",
            f"SET VARIABLE {ROOT} = {literal(f'{path.parent}/')}",
            *(f"SET VARIABLE {identifier(name)} = [{literal(f'{pattern}/**/*.parquet')}]" for name, pattern in patterns.items()),
            f"SET allowed_directories = [{allowed}]",
            f"SET allowed_paths = [{linked}]",
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


def open_catalog(
    path: Path, root: Path, folders: Sequence[Path], limits: Mapping[str, str] | None = None, live: Mapping[str, Path] | None = None
) -> Catalog:
    """Open the catalog at `path` for reading, from any working directory.

    SQL can read files in `folders` (relative to `root`) and nowhere else; `limits` are further settings of DuckDB, such as memory_limit.
    `live` names the folders (relative to `root`) of tables that are read as they are now. Raises ValueError if there is no catalog.
    """
    if not path.is_file():
        raise ValueError(f"no catalog at {path}: run `dvc repro catalog` first")
    spill = tempfile.TemporaryDirectory(prefix="sluice-")
    settings = QUIET | dict(limits or {}) | {"temp_directory": str(Path(spill.name) / "duckdb")}
    catalog = Catalog(duckdb.connect(":memory:", config=settings), spill)
    try:
        found = {name: (root / folder).resolve() for name, folder in (live or {}).items()}
        catalog.harden(path.parent.resolve() / path.name, [(root / folder).resolve() for folder in folders], found)
    except duckdb.Error:
        catalog.close()
        raise
    return catalog


def targets(folders: Sequence[Path]) -> list[Path]:
    """DVC's objects that links in the folders lead to: DuckDB judges a file by where it really lies. Other links stay shut."""
    links = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_symlink())
    return [path for path in map(Path.resolve, links) if DVC_OBJECT.search(path.as_posix())]


def literal(text: str | None) -> str:
    """Text as an SQL literal, for statements that take no bound values."""
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def escaped(folder: Path) -> str:
    """A folder's path within a pattern of DuckDB, where these characters mean something."""
    return re.sub(r"([*?\[])", r"[\1]", str(folder))


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
