"""Give a worktree of git the workspace's data: its DVC cache, remotes and credentials, and what is known of runs and fetches."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tasks.core.errors import VersionError
from tasks.core.git import git
from tasks.core.lineage import FETCHES, RUNS

REFRESH = Path(".sluice/worktrees/refresh")  # where `refresh` works, and what is published is checked out
REFRESH_LOCK = REFRESH.with_suffix(".lock")
READY = Path(".sluice/ready")
LINKS = "reflink,hardlink,copy"  # files are renamed over others and never written in place, so that links are safe


def add_worktree(folder: Path, commit: str, main: Path) -> None:
    """Check a commit out in `folder`, whatever was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git("worktree", "prune", folder=main)
    git("worktree", "add", "--detach", str(folder), commit, folder=main)
    for shared in (RUNS, FETCHES):
        (main / shared).mkdir(parents=True, exist_ok=True)
        (folder / shared).parent.mkdir(parents=True, exist_ok=True)
        (folder / shared).symlink_to(main / shared)
    local = main / ".dvc/config.local"
    if local.exists():
        shutil.copy(local, folder / ".dvc/config.local")
    dvc(folder, "cache", "dir", "--local", os.path.abspath(main / dvc(main, "cache", "dir").strip()))
    dvc(folder, "config", "--local", "cache.type", LINKS)
    (folder / READY).touch()


def is_ready(folder: Path) -> bool:
    """Whether `add_worktree` came to its end there."""
    return (folder / ".git").exists() and (folder / READY).exists()


def checkout(folder: Path, commit: str) -> None:
    """Put a worktree to a commit: its files, and its data as far as the cache has it."""
    git("checkout", "--quiet", "--force", "--detach", commit, folder=folder)
    git("clean", "--quiet", "-fd", folder=folder)
    dvc(folder, "checkout", "--force", "--allow-missing")


def commit_all(folder: Path, message: str) -> None:
    """Commit all that git tracks there, if anything changed."""
    git("add", "--all", folder=folder)
    if git("status", "--porcelain", folder=folder):
        git("commit", "--quiet", "--no-verify", "-m", message, folder=folder)


def dvc(folder: Path, *words: str) -> str:
    """What DVC says. Raises VersionError with the line that says what is wrong."""
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["no message"]
        raise VersionError(f"`dvc {' '.join(words)}` failed in {folder}: {lines[0]}")
    return done.stdout


def remote_of(folder: Path) -> str | None:
    """The remote that DVC is told to use, if any."""
    from dvc.repo import Repo

    with Repo(str(folder.resolve())) as repo:
        name = (repo.config.get("core") or {}).get("remote")
    return str(name) if name else None
