"""Diff: what one version of the dataset has that another has not: rows in and out, changed decisions, metrics side by side."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import duckdb

from tasks.commands.output import Row, write_line, write_rows
from tasks.commands.tables import find_table
from tasks.core.errors import VersionError
from tasks.core.graph import read_graph
from tasks.core.publishing import figures_at, figures_in
from tasks.core.versions import find_version, versions_folder
from tasks.methods.sql import connect
from tasks.methods.version_diff import CHANGES, figures_side_by_side

WORKSPACE = "workspace"
TABLE = "curated"
COLUMNS = ("change", "concept", "before", "after", "n_rows", "examples")


def run(arguments: argparse.Namespace) -> None:
    """Compare decisions, then metrics. Raises VersionError for a version that is not there."""
    if arguments.examples < 0:
        raise VersionError(f"--examples {arguments.examples} must be 0 or more")
    changed = list(changes(arguments.before, arguments.after, arguments.examples))
    figures: list[Row] = [("metric", name, old, new, None, []) for name, old, new in side_by_side(arguments.before, arguments.after)]
    if arguments.format != "table":
        return write_rows(arguments.format, COLUMNS, [*changed, *figures])
    if changed:
        write_rows("table", COLUMNS, changed)
    else:
        write_line("every row is in both, with the same decision")
    write_line()
    if figures:
        write_rows("table", ("metric", arguments.before, arguments.after), [row[1:4] for row in figures])
    else:
        write_line("all metrics are the same")
    return None


def changes(before: str, after: str, n_examples: int) -> Iterator[Row]:
    """Counts of rows that came, left, or were decided about otherwise, most first within each kind."""
    files = {"before": files_of(before), "after": files_of(after)}
    try:
        with connect() as connection:
            found = connection.execute(CHANGES, {**files, "n_examples": n_examples})
            yield from found.fetchall()
    except duckdb.Error as error:
        raise VersionError(f"the tables of {before} and {after} can't be compared: {next(iter(str(error).splitlines()), '')}") from None


def files_of(name: str) -> list[str]:
    """The shards of the curated table in a version's folder, or in the workspace."""
    top = folder_of(name)
    table = find_table(TABLE, read_graph(top / "dvc.yaml"), [])
    if table is None:
        raise VersionError(f"no stage of {top / 'dvc.yaml'} makes '{TABLE}'")
    root = top / table.root
    files = [str(path) for path in sorted(root.rglob("*.parquet")) if not path.name.startswith(".")]
    if not files:
        raise VersionError(f"{name} has no curated table in {root}: run `dvc repro curate`, or `dvc checkout`")
    return files


def folder_of(name: str) -> Path:
    """Where a version lies, or the workspace. Raises VersionError for a version whose folder was pruned."""
    if name == WORKSPACE:
        return Path()
    version = find_version(name)
    folder = versions_folder() / version.tag
    if not folder.is_dir():
        raise VersionError(f"the folder of {name} is not in {folder.parent}: `sluice reproduce {name}` gets it back")
    return folder


def side_by_side(before: str, after: str) -> list[tuple[str, float | None, float | None]]:
    """The figures that differ."""
    return figures_side_by_side(figures_of(before), figures_of(after))


def figures_of(name: str) -> dict[str, float]:
    """The figures of a version, or of the workspace."""
    return figures_in(Path()) if name == WORKSPACE else figures_at(find_version(name).commit, Path())
