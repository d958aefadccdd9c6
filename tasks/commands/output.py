"""Write: rows and panels to standard output, as a table, CSV or JSON, safe for terminals and spreadsheets.

Values come from the web: a control character could drive a terminal, a leading `=` a spreadsheet.
"""

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tasks.methods.harmless import UNSEEN, defused, visible

MAX_CELL = 80  # characters of a value in a plain table
PICTURE = (48, 24)  # columns and lines of a picture in a terminal
MAX_TEXT = 2000  # characters of a value anywhere a person reads
Row = Sequence[Any]
Section = tuple[str, Sequence[tuple[str, Any]]]


def printable(value: Any) -> str:
    """A value as one line of text in which no character drives the terminal; those that would are written as \\xNN."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(printable, value))
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return visible(text)


def write_line(text: str = "", *, flush: bool = False) -> None:
    """One line of our own words."""
    sys.stdout.write(f"{text}\n")
    if flush:
        sys.stdout.flush()


def write_rows(style: str, names: Sequence[str], rows: Iterable[Row]) -> None:
    """Rows in one of the styles table, csv, json."""
    {"table": write_table, "csv": write_csv, "json": write_json}[style](names, rows)


def write_table(names: Sequence[str], rows: Iterable[Row]) -> None:
    """A rich table in a terminal, aligned columns otherwise."""
    cells = [[printable(value) for value in row] for row in rows]
    heads = [printable(name) for name in names]
    if sys.stdout.isatty():
        return _write_rich_table(heads, [[_shortened(cell, MAX_TEXT) for cell in row] for row in cells])
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
        sys.stdout.write(before + UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], line))
        before = ",\n"
    write_line("[]" if before == "[\n" else "\n]")


def write_sections(sections: Sequence[Section]) -> None:
    """Titled lists of names and values: panels in a terminal, indented lines otherwise."""
    if sys.stdout.isatty():
        return _write_panels(sections)
    for title, pairs in sections:
        write_line(printable(title))
        for name, value in pairs:
            write_line(f"  {printable(name):<24}{_shortened(printable(value), MAX_TEXT)}".rstrip())
    return None


def shows_colours() -> bool:
    """Whether standard output is a terminal that has colours."""
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    return Console().color_system is not None


def write_picture(data: bytes) -> None:
    """An image's bytes as half blocks, as far as the terminal's colours go; nothing for what is no picture."""
    from rich.console import Console
    from rich.text import Text

    from tasks.methods.terminal_pictures import UPPER, half_blocks

    console = Console()
    for row in half_blocks(data, columns=min(console.width, PICTURE[0]), lines=PICTURE[1]):
        line = Text()
        for upper, lower in row:
            line.append(UPPER, f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})")
        console.print(line)


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
            grid.add_row(Text(printable(name), style="bold"), Text(_shortened(printable(value), MAX_TEXT)))
        console.print(Panel(grid, title=Text(printable(title)), title_align="left"))


def _shortened(cell: str, length: int = MAX_CELL) -> str:
    return cell if len(cell) <= length else cell[: length - 1] + "…"


def _guarded(value: Any) -> Any:
    """A CSV cell: no escape for a terminal, no formula for a spreadsheet. JSON is the format that keeps every character."""
    if not isinstance(value, (str, list, dict)):
        return "" if value is None else value
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False, default=str)
    return defused(text)


def _plain(value: Any) -> Any:
    """A value that JSON has: no NaN, no bytes."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {str(key): _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
