"""Make the folder that analysts read: a version's tables, catalog and report as read-only links to DVC's objects, and what git has.

A folder is made from a commit and DVC's cache alone: no workspace is looked at, and none is changed.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tasks.core.errors import VersionError
from tasks.core.files import write_folder_atomically
from tasks.core.git import git, run_bytes, text_at
from tasks.core.graph import GRAPH_FILE, read_graph
from tasks.core.params import PARAMS_FILE, read_params
from tasks.core.versions import Version, write_facts

SHOWN = ("catalog", "report")  # stages that make what analysts open
LOCK_FILE = "dvc.lock"
ALONGSIDE = (str(GRAPH_FILE), str(PARAMS_FILE), LOCK_FILE, "reports/metrics", "reports/queries")
READ_ONLY = 0o444


def make_folder(place: Path, version: Version, cache: Path, folder: Path = Path()) -> Path:
    """Make `place`/TAG as a whole; the path. Raises VersionError for an object that the cache does not have."""
    target = place / version.tag
    outs = locked_outs(text_at(version.commit, LOCK_FILE, folder) or "")
    with write_folder_atomically(target) as temporary:
        unpack(version.commit, [path for path in ALONGSIDE if tracked(version.commit, path, folder)], temporary, folder)
        for path in shown_paths(temporary):
            inside = {out: name for out, name in outs.items() if out == path or PurePosixPath(path) in PurePosixPath(out).parents}
            for out, name in inside.items():
                for relative, digest in files_of(cache, out, name):
                    link(object_path(cache, digest), temporary / relative)
            if not inside and tracked(version.commit, path, folder):
                unpack(version.commit, [path], temporary, folder)
        write_facts(temporary, version)
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(READ_ONLY)
    return target


def shown_paths(folder: Path) -> list[str]:
    """What the stages make that analysts open, and what the catalog's views read."""
    graph, values = read_graph(folder / GRAPH_FILE), read_params(folder / PARAMS_FILE)
    stages = [graph[name] for name in SHOWN if name in graph]
    entries = [*(entry for stage in stages for entry in stage.outs), *(entry for stage in stages[:1] for entry in stage.data)]
    return [str(entry.path(values)) for entry in entries]


def locked_outs(lock: str) -> dict[str, str]:
    """Each cached out of a lock file, and the name of its object."""
    stages: dict[str, Any] = (yaml.safe_load(lock) or {}).get("stages") or {}
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ()) if "md5" in out}


def files_of(cache: Path, path: str, name: str) -> Iterator[tuple[str, str]]:
    """The files of an out, by their paths in the workspace, and the names of their objects."""
    if not name.endswith(".dir"):
        yield path, name
        return
    try:
        entries = json.loads(object_path(cache, name).read_text())
    except FileNotFoundError:
        raise missing(path, name) from None
    for entry in entries:
        yield f"{path}/{entry['relpath']}", entry["md5"]


def object_path(cache: Path, name: str) -> Path:
    """Where DVC's cache has an object."""
    return cache / name[:2] / name[2:]


def missing(path: str, name: str) -> VersionError:
    """The error for an object that isn't there."""
    return VersionError(f"DVC's cache has no object {name} of {path}: get it with `dvc fetch`, or make it again with `dvc repro`")


def link(source: Path, target: Path) -> None:
    """A read-only hard link, or a copy where the file systems differ or allow no more links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise missing(target.name, source.parent.name + source.name) from None
    except OSError:
        shutil.copyfile(source, target)


def tracked(commit: str, path: str, folder: Path) -> bool:
    """Whether a commit has the path."""
    return bool(git("ls-tree", "--name-only", commit, "--", path, folder=folder))


def unpack(commit: str, paths: list[str], target: Path, folder: Path) -> None:
    """Write files as a commit has them."""
    if paths:
        with tarfile.open(fileobj=io.BytesIO(run_bytes("archive", "--format=tar", commit, "--", *paths, folder=folder))) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # unknown before Python 3.11.4; the archive is git's own
            tar.extractall(target)


def cache_of(folder: Path) -> Path:
    """The folder of DVC's objects."""
    from dvc.repo import Repo

    with Repo(str(folder.resolve())) as repo:
        return Path(repo.cache.local.path)
