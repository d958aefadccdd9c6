"""Generate the reference: pages about params, contracts, commands and views, out of what the code itself says, whenever the site is built.

A hook of MkDocs: `mkdocs build` calls `on_files`. Nothing generated is kept, so that nothing can grow stale.
"""

import argparse
import importlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))  # MkDocs runs a hook without the project on its path
TOP_LEVEL = re.compile(r"^(\w+):", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those that are there."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """Every generated page by its name."""
    return {"commands": commands(), "params": params(), "contracts": contracts(), "views": views()}


def commands() -> str:
    """What `--help` says of every command."""
    from tasks.cli import make_parser

    parts = ["# Commands", "What `sluice COMMAND --help` says."]
    for name, parser in subparsers(make_parser()):
        parts += [f"## sluice {name}", f"```text\n{parser.format_help().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def subparsers(parser: argparse.ArgumentParser, before: str = "") -> list[tuple[str, argparse.ArgumentParser]]:
    """Every command that takes no further one, by its words."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                deeper = subparsers(inner, f"{before}{name} ")
                found += deeper or [(f"{before}{name}", inner)]
    return found


def params() -> str:
    """params.yaml, a heading per section, with the reason beside each value."""
    text = (REPO / "params.yaml").read_text()
    starts = [match.start() for match in TOP_LEVEL.finditer(text)]
    parts = ["# Params", "Every value that changes results, with its reason, as it stands in params.yaml."]
    for start, stop in zip(starts, [*starts[1:], len(text)], strict=True):
        section = re.sub(r"\n(#.*\n|\n)*\Z", "\n", text[start:stop])  # comments after a section belong to the next one
        parts += [f"## {TOP_LEVEL.match(section)[1]}", f"```yaml\n{section.rstrip()}\n```"]  # type: ignore[index]
    return "\n\n".join(parts) + "\n"


def contracts() -> str:
    """What one row of each table is, and each column's sentence."""
    parts = ["# Tables", "Checked on every write and every read (`tasks/contracts`)."]
    for path in sorted((REPO / "tasks" / "contracts").glob("[!_]*.py")):
        contract = importlib.import_module(f"tasks.contracts.{path.stem}").CONTRACT
        rows = [(field.name, field.type, field.nullable, (field.metadata or {})[b"comment"].decode()) for field in contract.schema]
        table = "\n".join(f"| `{name}` | {kind} | {'yes' if nullable else ''} | {cell(text)} |" for name, kind, nullable, text in rows)
        key = ", ".join(f"`{name}`" for name in contract.key)
        parts += [
            f"## {path.stem}",
            f"{contract.doc}. Key: {key or 'none'}.",
            f"| column | type | null | meaning |\n|---|---|---|---|\n{table}",
        ]
    return "\n\n".join(parts) + "\n"


def views() -> str:
    """Views of the catalog and their columns, out of a catalog over empty tables."""
    import duckdb

    parts = ["# Views", "What `sluice query` and the explorer's SQL page see; `.tables` and `.columns VIEW` say the same in the shell."]
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(empty_catalog(Path(folder))), read_only=True) as connection:
        found = connection.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' ORDER BY ALL"
        ).fetchall()
        for name, comment in found:
            columns = connection.execute(
                "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [name]
            ).fetchall()
            table = "\n".join(f"| `{column}` | {kind} | {cell(text or '')} |" for column, kind, text in columns)
            parts += [f"## {name}", f"{comment}.", f"| column | type | meaning |\n|---|---|---|\n{table}"]
    return "\n\n".join(parts) + "\n"


def empty_catalog(folder: Path) -> Path:
    """The catalog of a dataset without rows."""
    from tasks.catalog import DATABASE, catalog
    from tasks.core.stage import annotations, contract_of
    from tasks.core.tables import Artifact, Source

    arguments: dict[str, Any] = {}
    for name, kind in annotations(catalog).items():
        if kind is Source:
            arguments[name] = Source(contract_of(name), folder / name, [], per_crawl=False)
        elif kind is Artifact:
            arguments[name] = Artifact(REPO / "data" / name if name == "concepts" else folder / name)
        else:
            arguments[name] = []  # crawls: none
    catalog(**arguments)
    return folder / "catalog" / DATABASE


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|")
