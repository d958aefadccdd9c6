"""Query: ask the catalog in SQL or by a recipe's name, once or in a shell, through the hardened door."""

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import duckdb

from tasks.commands.output import Row, printable, write_line, write_rows
from tasks.commands.recipes import read_recipes, statement_of
from tasks.core.errors import SluiceError
from tasks.dataset import catalog_of
from tasks.methods.sql import Catalog

BATCH = 1000  # rows fetched at a time
MAX_TABLE_ROWS = 1000  # rows of an answer that are shown as a table
HELP = "one SELECT, ended by ';' or an empty line; @NAME asks a recipe; .tables, .columns VIEW, .recipes, .help, .quit"
VIEWS = "SELECT view_name AS name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
COLUMNS = """
SELECT column_name AS name, data_type AS type, comment FROM duckdb_columns()
WHERE database_name = 'sluice' AND table_name = $view ORDER BY column_index
"""


def run(arguments: argparse.Namespace) -> None:
    """List the recipes, answer one statement, or read statements until the input ends."""
    if arguments.list:
        return list_recipes(arguments.format)
    with open_here() as catalog:
        if arguments.sql is not None:
            answer(catalog, statement_of(arguments.sql), arguments.format)
        else:
            shell(catalog, arguments.format)
    return None


def list_recipes(style: str) -> None:
    """Write every recipe's name and question; without the @, which a spreadsheet would read as a formula."""
    write_rows(style, ("name", "question"), [(recipe.name, recipe.question) for recipe in read_recipes()])


def open_here(limits: Mapping[str, str] | None = None) -> Catalog:
    """The catalog of the project in the working directory. Raises SluiceError if it isn't built."""
    return catalog_of(Path(), limits)


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
        if not statement and word.startswith("@"):
            word = f"{word.rstrip(';')};"
            line = word
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
        elif command == ".recipes":
            list_recipes(style)
        elif command.startswith("."):
            write_line(HELP)
        else:
            answer(catalog, statement_of(text), style)
    except SluiceError as error:
        sys.stderr.write(f"error: {error}\n")


def first_line(error: Exception) -> str:
    """The first line of an error's text, safe for a terminal."""
    return printable(next(iter(str(error).splitlines()), ""))
