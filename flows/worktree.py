"""Keep the worktree in which `refresh` works: the published commit, checked out beside the workspace, with the workspace's own DVC cache.

Nobody else works there, and the workspace itself is never touched: what is made here is seen once it is published.
"""

import shutil
from pathlib import Path

from flows.inbox import JOURNAL
from tasks.core.gates import METRICS
from tasks.core.git import contains, git, head
from tasks.core.publishing import branch_commit, settle
from tasks.core.snapshots import LOCK_FILE
from tasks.core.versions import BRANCH, published_version
from tasks.core.worktrees import REFRESH, add_worktree, checkout, commit_all, is_ready


def open_worktree(main: Path) -> Path:
    """The worktree at the published commit, or, where a killed refresh has left one on top of it, as that one left it."""
    folder, tip = main / REFRESH, branch_commit(main)
    if not is_ready(folder):
        add_worktree(folder, tip, main)
    if published_version(main) is None and not has_notes(folder):
        tip = adopt(main, folder, tip)
    settle(folder)
    if not (has_notes(folder) and contains(head(folder), tip, folder)):
        checkout(folder, tip)
    return folder


def adopt(main: Path, folder: Path, tip: str) -> str:
    """Before the first version: take what the workspace has built, committed or not, so that nothing is made twice; the commit.

    DVC trusts none of it: what doesn't fit code, params and data of the commit is made again.
    """
    git("checkout", "--quiet", "--force", "--detach", tip, folder=folder)
    if (main / LOCK_FILE).exists():
        shutil.copy(main / LOCK_FILE, folder / LOCK_FILE)
    if (main / METRICS).exists():
        shutil.copytree(main / METRICS, folder / METRICS, dirs_exist_ok=True)
    commit_all(folder, "Take over what the workspace has built")
    git("update-ref", BRANCH, head(folder), tip, folder=folder)
    return head(folder)


def has_notes(folder: Path) -> bool:
    """Whether a refresh was cut short here."""
    return any((folder / JOURNAL).glob("*.json"))
