"""Publish: the commit that is checked out becomes the next version, if the workspace is clean and the gates hold."""

import argparse
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.commands.output import write_line
from tasks.core.errors import VersionError
from tasks.core.git import git
from tasks.core.publishing import publish
from tasks.core.versions import versions_folder
from tasks.core.worktrees import dvc

LOCK = Path(".sluice/workspace.lock")


def run(_arguments: argparse.Namespace) -> None:
    """Publish, and say where the version lies. Raises VersionError for a workspace that is no commit, Refused by a gate."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            check_clean()
            version = publish()
    except Timeout:
        raise VersionError("the workspace is in use by another run: wait for its end, then publish") from None
    write_line(f"published {version.tag}: {version.kept:,} of {version.rows:,} rows kept, in {versions_folder() / version.tag}")


def check_clean() -> None:
    """Raise VersionError unless what lies here is what the commit says, and what DVC would make of it."""
    changed = [line[3:] for line in git("status", "--porcelain").splitlines()]
    if changed:
        raise VersionError(f"not committed: {', '.join(changed[:5])}: commit with git (after `dvc repro`), then publish")
    stale = dvc(Path(), "status", "--json").strip()
    if stale not in ("", "{}"):
        raise VersionError(f"`dvc status` is not clean: run `dvc repro`, commit, then publish ({stale[:200]})")
