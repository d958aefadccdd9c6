"""Query: ask the catalog in SQL, once or in a shell, through the hardened door."""

import argparse
import importlib
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import duckdb

from tasks.catalog import DATABASE
from tasks.commands.output import Row, printable, write_line, write_rows
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import read_params
from tasks.methods.sql import Catalog, open_catalog

STAGE = "catalog"
BATCH = 1000  # rows fetched at a time
MAX_TABLE_ROWS = 1000  # rows of an answer that are shown as a table
HELP = "one SELECT, ended by ';' or an empty line; .tables, .columns VIEW, .help, .quit"
VIEWS = "SELECT view_name AS name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
COLUMNS = """
SELECT column_name AS name, data_type AS type, comment FROM duckdb_columns()
WHERE database_name = 'sluice' AND table_name = $view ORDER BY column_index
"""


def run(arguments: argparse.Namespace) -> None:
    """Answer one statement, or read statements until the input ends."""
    with open_here() as catalog:
        if arguments.sql is not None:
            answer(catalog, arguments.sql, arguments.format)
        else:
            shell(catalog, arguments.format)


def open_here() -> Catalog:
    """The catalog of the project in the working directory. Raises SluiceError if it isn't built."""
    entry, values = read_graph()[STAGE], read_params()
    folder = next(out.path(values) for out in entry.outs if out.name == STAGE)
    folders = [folder, *(found.path(values) for found in entry.data)]
    try:
        return open_catalog(folder / DATABASE, Path(), folders)
    except (ValueError, duckdb.Error) as error:
        raise SluiceError(first_line(error)) from None


def answer(catalog: Catalog, sql: str, style: str, values: dict[str, str] | None = None) -> None:
    """Write what one statement gives. Raises SluiceError with DuckDB's first line for one that fails."""
    try:
        result = catalog.execute(sql, values or {})
        names = [column[0] for column in result.description or []]
        rows = fetched(result)
        if style != "table":
            return write_rows(style, names, rows)
        write_rows(style, names, islice(rows, MAX_TABLE_ROWS))
        if next(rows, None) is not None:
            write_line(f"... the first {MAX_TABLE_ROWS} rows; use LIMIT, or --format csv or json for all")
    except (ValueError, duckdb.Error) as error:
        raise SluiceError(first_line(error)) from None


def fetched(result: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """Rows, fetched in batches."""
    while batch := result.fetchmany(BATCH):
        yield from batch


def shell(catalog: Catalog, style: str) -> None:
    """Read and answer until `.quit` or the end of the input; a failing statement doesn't end it."""
    interactive = sys.stdin.isatty()
    if interactive:
        importlib.import_module("readline")  # line editing and history, which input() uses once it is imported
        write_line(HELP)
    statement = ""
    while (line := ask("sluice> " if not statement else "   ...> ", interactive)) is not None:
        word = line.strip()
        if not statement and word.startswith("."):
            if word == ".quit":
                return
            attempt(catalog, word, style)
            continue
        statement = f"{statement}\n{line}".strip()
        if statement and (word.endswith(";") or not word):
            attempt(catalog, statement, style)
            statement = ""
    if statement:
        attempt(catalog, statement, style)


def ask(prompt: str, interactive: bool) -> str | None:
    """One line of input; None at its end."""
    if not interactive:
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    try:
        return input(prompt)
    except EOFError:
        return None


def attempt(catalog: Catalog, text: str, style: str) -> None:
    """Answer a statement or a dot command of the shell; an error is one line."""
    command, _, argument = text.partition(" ")
    try:
        if command == ".tables":
            answer(catalog, VIEWS, style)
        elif command == ".columns":
            answer(catalog, COLUMNS, style, {"view": argument.strip()})
        elif command.startswith("."):
            write_line(HELP)
        else:
            answer(catalog, text, style)
    except SluiceError as error:
        sys.stderr.write(f"error: {error}\n")


def first_line(error: Exception) -> str:
    """The first line of an error's text, safe for a terminal."""
    return printable(next(iter(str(error).splitlines()), ""))
