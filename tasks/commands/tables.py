"""Find tables: where dvc.yaml has the shards of a table, whoever made it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from tasks.core.errors import SluiceError
from tasks.core.graph import PLACEHOLDER, StageEntry
from tasks.core.stage import contract_of
from tasks.core.tables import Source
from tasks.methods.sql import connect


def find_table(name: str, graph: Mapping[str, StageEntry], crawls: Sequence[str]) -> Source | None:
    """The table that some stage makes under this name, or that people write and some stage reads; None if there is none."""
    for stage in graph.values():
        for out in stage.outs:
            if out.name == name:
                root = Path(PLACEHOLDER.sub("", out.template)) if out.bound else Path(out.template)
                return Source(contract_of(name), root, crawls, per_crawl=out.bound)
    read = [dep for stage in graph.values() for dep in stage.data if dep.name == name and not PLACEHOLDER.search(dep.template)]
    return Source(contract_of(name), Path(read[0].template), crawls, per_crawl=False) if read else None


def rows_where(table: Source | None, condition: str, values: Mapping[str, Any], *, order: str = "sample_id") -> list[dict[str, Any]] | None:
    """The rows that meet an SQL condition, as dicts; None if the table isn't made yet."""
    files = [str(table.path(shard)) for shard in table.shards()] if table is not None else []
    if not files:
        return None
    query = f"SELECT * FROM read_parquet($files, hive_partitioning = false) WHERE {condition} ORDER BY {order}"
    try:
        with connect() as connection:
            found = connection.execute(query, {"files": files, **values})
            names = [column[0] for column in found.description or []]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    except duckdb.Error as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise SluiceError(f"the table under {Path(files[0]).parent} can't be read ({said}): run `dvc repro` again") from None
