"""Prune: drop old versions by policy, with their tags and folders, and let DVC free what nothing else holds.

Whatever a branch, another tag, a stash, an experiment, the workspace or one of its worktrees names stays. Nothing happens without --yes.
"""

import argparse
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from tasks.commands.forget import workspace_alone
from tasks.commands.forget_cache import folder_objects, lock_objects
from tasks.commands.output import write_line, write_table
from tasks.core.errors import VersionError
from tasks.core.git import git, text_at
from tasks.core.inventory import tracked_outs
from tasks.core.snapshots import LOCK_FILE, cache_of, object_path
from tasks.core.versions import Version, current_tag, list_versions, published_version, versions_folder
from tasks.core.worktrees import dvc

HELD = ("--workspace", "--all-branches", "--all-tags", "--all-experiments")


def run(arguments: argparse.Namespace) -> None:
    """Say which versions are old by the policy and what dropping them frees; with --yes, drop them."""
    if arguments.keep < 1 or arguments.older_than < 0:
        raise VersionError(f"--keep {arguments.keep} --older-than {arguments.older_than}: keep 1 version or more, and 0 days or more")
    with workspace_alone():
        versions = list_versions()
        dropped = old_versions(versions, arguments.keep, timedelta(days=arguments.older_than), datetime.now(UTC), spared())
        if not dropped:
            return write_line(f"nothing to drop: {len(versions)} versions, none old by this policy")
        n_objects, n_bytes = freed(dropped)
        rows = [(version.tag, version.published, version.rows, version.kept) for version in dropped]
        write_table(("version", "published", "rows", "kept"), rows)
        if not arguments.yes:
            return write_line(f"would drop {len(dropped)} versions and free about {n_bytes / 1e6:,.1f} MB ({n_objects} objects): add --yes")
        drop(dropped)
        collect(remote=arguments.remote)
    tags = ", ".join(version.tag for version in dropped)
    return write_line(f"dropped {tags}: their tags and folders are gone, and {n_bytes / 1e6:,.1f} MB of data that nothing else named")


def old_versions(versions: Sequence[Version], keep: int, age: timedelta, now: datetime, spared: frozenset[str]) -> list[Version]:
    """Versions that are neither among the latest `keep` nor younger than `age` nor spared."""
    candidates = versions[: max(len(versions) - keep, 0)]
    return [version for version in candidates if version.tag not in spared and now - datetime.fromisoformat(version.published) > age]


def spared() -> frozenset[str]:
    """The version that readers are led to, and the one that the next is compared with."""
    published = published_version()
    return frozenset(filter(None, (current_tag(versions_folder()), published.tag if published else None)))


def freed(dropped: Sequence[Version]) -> tuple[int, int]:
    """How many objects of the cache the dropped versions alone name, and their bytes."""
    cache = cache_of(Path())
    inside = folder_objects([cache])
    gone = {version.tag for version in dropped}
    refs = git("for-each-ref", "--format=%(refname:strip=2)%00%(objectname)", "refs/heads", "refs/tags").splitlines()
    stays = [commit for name, commit in (line.split("\x00") for line in refs) if name not in gone]
    held = {name for commit in stays for name in objects_at(commit, inside)}
    held |= {found for name in tracked_outs().values() for found in (name, *inside.get(name, ()))}
    named = {name for version in dropped for name in objects_at(version.commit, inside)}
    sizes = [path.stat().st_size for name in named - held if (path := object_path(cache, name)).exists()]
    return len(sizes), sum(sizes)


def objects_at(commit: str, inside: dict[str, list[str]]) -> set[str]:
    """Every object that a commit's lock file and .dvc files name, however deep."""
    files = [path for path in git("ls-tree", "-r", "--name-only", commit).splitlines() if path.endswith(".dvc")]
    names = set(lock_objects(yaml.safe_load(text_at(commit, LOCK_FILE) or "") or {}))
    names |= {out["md5"] for path in files for out in (yaml.safe_load(text_at(commit, path) or "") or {}).get("outs", ()) if "md5" in out}
    return names | {found for name in names for found in inside.get(name, ())}


def drop(dropped: Sequence[Version]) -> None:
    """Take the versions away; the tag goes last, so that a killed run finds the version again."""
    for version in dropped:
        folder = versions_folder() / version.tag
        if folder.exists():
            for path in (folder, *folder.rglob("*")):
                if path.is_dir():
                    path.chmod(0o755)
            shutil.rmtree(folder)
        git("tag", "--delete", version.tag)


def collect(*, remote: bool) -> None:
    """Let DVC delete the objects that nothing names any more, here and, if asked to, in the remote."""
    worktrees = [
        line.removeprefix("worktree ") for line in git("worktree", "list", "--porcelain").splitlines() if line.startswith("worktree ")
    ]
    others = [place for place in worktrees if Path(place).resolve() != Path.cwd().resolve() and (Path(place) / ".dvc").is_dir()]
    words = [word for place in others for word in ("--projects", place)]
    dvc(Path(), "gc", "--force", *HELD, *words, *(["--cloud"] if remote else []))
