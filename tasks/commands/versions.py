"""Versions: every published version with what it holds, oldest first."""

import argparse

from tasks.commands.output import write_rows
from tasks.core.versions import current_tag, list_versions, versions_folder

COLUMNS = ("version", "published", "crawls", "rows", "kept", "came_in", "state", "commit")


def run(arguments: argparse.Namespace) -> None:
    """List them."""
    place = versions_folder()
    current, rows = current_tag(place), []
    for version in list_versions():
        state = "current" if version.tag == current else "there" if (place / version.tag).exists() else "in git alone"
        if version.receipt:
            state += f", without what {version.receipt} names"
        facts = (version.published, len(version.crawls), version.rows, version.kept, ", ".join(version.crawls_added))
        rows.append((version.tag, *facts, state, version.commit[:10]))
    write_rows(arguments.format, COLUMNS, rows)
