"""Write: rows and panels to standard output, as a table, CSV or JSON, safe for terminals and spreadsheets.

Values come from the web: a control character could drive a terminal, a leading `=` a spreadsheet.
"""

import csv
import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")
BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
MAX_CELL = 80  # characters of a value in a plain table
Row = Sequence[Any]
Section = tuple[str, Sequence[tuple[str, Any]]]


def printable(value: Any) -> str:
    """A value as one line of text in which no character drives the terminal; those that would are written as \\xNN."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(printable, value))
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(_escaped(letter) if unicodedata.category(letter) in ("Cc", "Cs") or letter in BIDI else letter for letter in text)


def write_line(text: str = "") -> None:
    """One line of our own words."""
    sys.stdout.write(f"{text}\n")


def write_rows(style: str, names: Sequence[str], rows: Iterable[Row]) -> None:
    """Rows in one of the styles table, csv, json."""
    {"table": write_table, "csv": write_csv, "json": write_json}[style](names, rows)


def write_table(names: Sequence[str], rows: Iterable[Row]) -> None:
    """A rich table in a terminal, aligned columns otherwise."""
    cells = [[printable(value) for value in row] for row in rows]
    heads = [printable(name) for name in names]
    if sys.stdout.isatty():
        return _write_rich_table(heads, cells)
    cells = [[_shortened(cell) for cell in row] for row in cells]
    widths = [max(len(head), *(len(row[place]) for row in cells)) if cells else len(head) for place, head in enumerate(heads)]
    for row in [heads, ["-" * width for width in widths], *cells]:
        write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return None


def write_csv(names: Sequence[str], rows: Iterable[Row]) -> None:
    """Comma-separated, one line per row; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([_guarded(name) for name in names])
    for row in rows:
        writer.writerow([_guarded(value) for value in row])


def write_json(names: Sequence[str], rows: Iterable[Row]) -> None:
    """A JSON list of objects, one per line."""
    before = "[\n"
    for row in rows:
        value = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        line = json.dumps(value, ensure_ascii=False, default=str)
        sys.stdout.write(before + "".join(_unicode(letter) if "\x7f" <= letter <= "\x9f" or letter in BIDI else letter for letter in line))
        before = ",\n"
    write_line("[]" if before == "[\n" else "\n]")


def write_sections(sections: Sequence[Section]) -> None:
    """Titled lists of names and values: panels in a terminal, indented lines otherwise."""
    if sys.stdout.isatty():
        return _write_panels(sections)
    for title, pairs in sections:
        write_line(printable(title))
        for name, value in pairs:
            write_line(f"  {printable(name):<24}{printable(value)}".rstrip())
    return None


def _write_rich_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for head in heads:
        table.add_column(Text(head))
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _write_panels(sections: Sequence[Section]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for title, pairs in sections:
        grid = Table.grid(padding=(0, 2))
        for name, value in pairs:
            grid.add_row(Text(printable(name), style="bold"), Text(printable(value)))
        console.print(Panel(grid, title=Text(printable(title)), title_align="left"))


def _escaped(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else _unicode(letter)


def _unicode(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


def _shortened(cell: str) -> str:
    return cell if len(cell) <= MAX_CELL else cell[: MAX_CELL - 1] + "…"


def _guarded(value: Any) -> Any:
    """A CSV cell; escapes stay out of a terminal, and everywhere a formula becomes text."""
    if not isinstance(value, (str, list, dict)):
        return "" if value is None else value
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False, default=str)
    text = printable(text) if sys.stdout.isatty() else text
    return f"'{text}" if text.startswith(FORMULA) else text


def _plain(value: Any) -> Any:
    """A value that JSON has: no NaN, no bytes."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {str(key): _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
