"""Forget in versions: the published one is issued again without the images; older ones lose the files that show them, and say so.

`sluice forget` edits the workspace and the worktree of `refresh`, which has the published version; what is done here comes after.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.commands.forget_cache import holds
from tasks.commands.forget_files import edit_table
from tasks.core.errors import SluiceError, VersionError
from tasks.core.forgotten import Forgotten
from tasks.core.git import git, head, main_workspace
from tasks.core.publishing import finish, push
from tasks.core.versions import BRANCH, Version, list_versions, order_of, published_version, set_refs, versions_folder
from tasks.core.worktrees import REFRESH, REFRESH_LOCK, add_worktree, checkout, commit_all, is_ready
from tasks.methods.forgetting import Wanted


@contextmanager
def refresh_waits(top: Path) -> Iterator[None]:
    """Keep `refresh` from its worktree. Raises SluiceError if one runs."""
    path = top / REFRESH_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise SluiceError("a `refresh` takes in a crawl just now: wait for its end, or cancel it, then start again") from None


def published_place(top: Path) -> Path | None:
    """The worktree with the published version's data, as it was published; None if nothing is published, or `top` is a worktree itself."""
    try:
        if main_workspace(top) != top.resolve() or published_version(top) is None:
            return None
    except VersionError:  # no git here, hence no versions
        return None
    folder, tip = top / REFRESH, git("rev-parse", BRANCH, folder=top)
    if not is_ready(folder):
        add_worktree(folder, tip, top)
    if not under_way(folder):
        checkout(folder, tip)
    return folder


def under_way(folder: Path) -> bool:
    """Whether an interrupted `forget` has left its work there."""
    return (folder / ".sluice/forget.json").exists() or bool(new_receipts(folder))


def new_receipts(folder: Path) -> list[Path]:
    """Receipts that no version has yet."""
    said = git("status", "--porcelain", "--untracked-files=all", "--", "reports/receipts", folder=folder)
    return [folder / line[3:] for line in said.splitlines()]


def issue_again(folder: Path) -> list[Version]:
    """Publish the edited worktree in place of the published version, and note at every older version what it lacks now; the new tags."""
    receipts = new_receipts(folder)
    old = published_version(folder)
    if not receipts or old is None:
        return []
    receipt = receipts[-1].name
    affected = set(json.loads(receipts[-1].read_text())["left"]["tags_to_issue_again"])
    tip = git("rev-parse", BRANCH, folder=folder)
    commit_all(folder, f"Forget what {receipt} names")
    push(folder)
    issued = [again(old, head(folder), receipt)]
    set_refs(issued[0], tip, folder)
    finish(issued[0], folder)
    versions = list_versions(folder)
    for version in versions:
        if version.tag in affected and version.tag != old.tag and version.commit != head(folder) and is_last(version, versions):
            issued.append(again(version, version.commit, receipt))
            set_refs(issued[-1], None, folder)
    return issued


def again(version: Version, commit: str, receipt: str) -> Version:
    """The facts of a version that is issued again."""
    number, times = order_of(version.tag)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tag = f"v{number:04d}+forgotten.{times + 1}"
    return replace(version, tag=tag, commit=commit, parent=version.tag, published=now, receipt=receipt, crawls_added=[])


def is_last(version: Version, versions: list[Version]) -> bool:
    """Whether the version was not issued again since."""
    number, times = order_of(version.tag)
    return all(order_of(other.tag) <= (number, times) for other in versions if order_of(other.tag)[0] == number)


def strip(wanted: Wanted, crawls: Path, top: Path) -> None:
    """Take the images out of every version's folder, and delete what `sluice reproduce` has checked out; twice does no harm."""
    try:
        place = versions_folder(top)
    except VersionError:  # no git here, hence no versions
        return
    for folder in sorted(path for path in place.glob("v*") if path.is_dir()):
        strip_folder(folder, wanted, crawls)
    for folder in sorted((top / REFRESH).parent.glob("v*")):
        shutil.rmtree(folder)
    git("worktree", "prune", folder=top)


def strip_folder(folder: Path, wanted: Wanted, crawls: Path) -> None:
    """Edit the tables; delete the report if a table had one of the images, and what else speaks of them."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    n_rows = sum(edit(path, wanted, crawls) for path in files if path.suffix == ".parquet")
    for path in files:
        if path.suffix != ".parquet" and ((n_rows and path.suffix == ".html") or holds(path, wanted)):
            path.unlink()


def edit(path: Path, wanted: Wanted, crawls: Path) -> int:
    """Take rows out of a read-only table, or empty them; how many."""
    mode = path.stat().st_mode
    n_rows = edit_table(path, wanted, Forgotten(), crawls, lambda _path: None)
    path.chmod(mode)
    return n_rows
