"""Reproduce: check a version out beside the workspace, fetch its data, and prove byte by byte that it is what was published.

What `sluice forget` has deleted since can't come back: it is named, with the receipt that speaks of it.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.commands.forget import RECEIPTS
from tasks.commands.output import write_line
from tasks.core.errors import VersionError
from tasks.core.git import main_workspace, text_at
from tasks.core.snapshots import LOCK_FILE, cache_of, files_of, locked_outs, object_path
from tasks.core.versions import Version, find_version
from tasks.core.worktrees import add_worktree, checkout, dvc, is_ready, remote_of

WORKTREES = Path(".sluice/worktrees")


@dataclass(frozen=True)
class File:
    """One file of a version as its lock has it."""

    path: str
    digest: str


def run(arguments: argparse.Namespace) -> None:
    """Check out, compare, report. Raises VersionError if a byte differs, or is missing and was not forgotten."""
    version = find_version(arguments.version)
    main = main_workspace()
    folder = checked_out(version, main)
    cache = cache_of(main)
    files, lost = listed_files(version, cache, main)
    same, wrong, missing = compared(folder, files, cache)
    forgotten = forgotten_objects(main / RECEIPTS)
    missing += [File(path, name) for path, name in lost]
    unknown = [file for file in missing if file.digest not in forgotten]
    write_line(f"{version.tag} is checked out in {folder}")
    write_line(f"{len(same):,} of {len(files) + len(lost):,} files have the bytes that were published")
    for receipt in sorted({forgotten[file.digest] for file in missing if file.digest in forgotten}):
        paths = [file.path for file in missing if forgotten.get(file.digest) == receipt]
        write_line(f"{len(paths):,} held what was forgotten since ({receipt}): {shortened(paths)}")
    if wrong:
        raise VersionError(f"{len(wrong):,} files of {version.tag} have other bytes than were published: {shortened(wrong)}")
    if unknown:
        raise VersionError(
            f"{len(unknown):,} files of {version.tag} are missing: {shortened([file.path for file in unknown])}; get them with `dvc fetch`"
        )


def checked_out(version: Version, main: Path) -> Path:
    """The version's files in a worktree of their own, with all data that can be had."""
    folder = main / WORKTREES / version.tag
    if not is_ready(folder):
        add_worktree(folder, version.commit, main)
    checkout(folder, version.commit)
    if remote_of(folder):
        try:
            dvc(folder, "fetch")
        except VersionError as error:  # what could not be had is named later
            write_line(f"not all could be fetched: {error}")
        checkout(folder, version.commit)
    return folder


def listed_files(version: Version, cache: Path, main: Path) -> tuple[list[File], list[tuple[str, str]]]:
    """Every file of the version; and folders whose lists are gone, with the names of these."""
    files, lost = [], []
    for path, name in locked_outs(text_at(version.commit, LOCK_FILE, main) or "").items():
        if name.endswith(".dir") and not object_path(cache, name).exists():
            lost.append((path, name))
        else:
            files += [File(*found) for found in files_of(cache, path, name)]
    return files, lost


def compared(folder: Path, files: list[File], cache: Path) -> tuple[list[str], list[str], list[File]]:
    """Paths with the same bytes, paths with others, and files that aren't there. Every byte is read.

    DVC lays out no file of a folder that lacks one, so the others are read where the cache keeps them.
    """
    same: list[str] = []
    wrong: list[str] = []
    missing: list[File] = []
    for file in files:
        path = next((found for found in (folder / file.path, object_path(cache, file.digest)) if found.is_file()), None)
        if path is None:
            missing.append(file)
        else:
            (same if md5_of(path) == file.digest else wrong).append(file.path)
    return same, wrong, missing


def md5_of(path: Path) -> str:
    """The name that DVC gives to these bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def forgotten_objects(receipts: Path) -> dict[str, str]:
    """Each object that was deleted because it held what was forgotten, and the receipt that says so."""
    return {name: receipt for receipt, name in deleted(receipts)}


def deleted(receipts: Path) -> Iterator[tuple[str, str]]:
    """Receipt and object, for each object that a receipt names."""
    for path in sorted(receipts.glob("*.json")):
        content = json.loads(path.read_text())
        for names in (*content.get("objects_deleted", {}).values(), *content.get("left", {}).get("remotes_not_reached", {}).values()):
            yield from ((path.name, name) for name in names)


def shortened(paths: list[str]) -> str:
    """The first of many."""
    return ", ".join(sorted(paths)[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
