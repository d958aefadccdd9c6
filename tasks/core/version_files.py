"""Lay out versions: the tables of a commit of the workspace as links into DVC's cache, without a checkout.

A version's folder, `.sluice/versions/COMMIT`, has the paths of the workspace and the dvc.yaml and params.yaml of that commit. All data in
it are links, so that it takes no room, and what leaves the cache leaves every version.
"""

import json
import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tasks.core.errors import SluiceError
from tasks.core.files import write_atomically
from tasks.core.graph import read_graph
from tasks.core.params import crawl_names, read_params

VERSIONS = Path(".sluice/versions")
GRAPH, PARAMS, LOCK = "dvc.yaml", "params.yaml", "dvc.lock"
STAGE, IMAGES = "catalog", "images"
Outs = Mapping[str, str]  # path -> md5
log = logging.getLogger(__name__)


def lay_out(revision: str, top: Path) -> Path:
    """The folder of a git revision of the workspace in `top`, made at its first use.

    Tables that the cache lacks are fetched from the remote; pictures are there as far as the cache has them.
    Raises SluiceError if there is no such revision, it has no catalog, or one of its tables can't be had any more.
    """
    commit = git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise SluiceError(f"'{revision[:80]}' is neither a folder nor a tag or commit of {top}: `git tag` lists what there is")
    folder = top / VERSIONS / commit.strip()
    for name in (GRAPH, PARAMS):
        with write_atomically(folder / name) as temporary:
            temporary.write_text(file_at(top, commit.strip(), name, revision))
    outs = locked_outs(file_at(top, commit.strip(), LOCK, revision))
    tables, images = paths_of(folder, revision)
    here = [path for path in tables if path in outs]  # others are git's, or of a stage that had not run
    if tables[0] not in here:
        raise SluiceError(f"{revision} has no catalog: it was committed before `dvc repro catalog`")
    cache = cache_of(top)
    lost = missing(cache, outs, here)
    if lost:
        fetch(top, list(lost))
        lost = missing(cache, outs, here)
    if lost:
        one = next(iter(lost.values()))
        raise SluiceError(
            f"{revision} can't be read whole: {len(lost)} of its files, such as one of {one}, are neither in DVC's cache nor on "
            "its remote: they were forgotten, collected as garbage or never pushed"
        )
    for path in (*here, *(path for path in images if path in outs)):
        link(folder / path, cache, outs[path])
    return folder


def paths_of(folder: Path, revision: str) -> tuple[list[str], list[str]]:
    """(the catalog's path and those of the tables that it shows, the paths of the crawls' pictures) as the commit's own graph has them."""
    graph, values = read_graph(folder / GRAPH), read_params(folder / PARAMS)
    if STAGE not in graph:
        raise SluiceError(f"{revision} has no stage `{STAGE}`: it is no version of a dataset")
    tables = [*graph[STAGE].outs, *graph[STAGE].data]
    pictures = [out for stage in graph.values() for out in stage.outs if out.name == IMAGES]
    crawls = crawl_names(values)
    return [entry.path(values).as_posix() for entry in tables], [
        out.path({"item": crawl}).as_posix() for out in pictures for crawl in crawls
    ]


def git(top: Path, *words: str) -> str | None:
    """What git prints; None if it fails."""
    done = subprocess.run(["git", *words], cwd=top, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def file_at(top: Path, commit: str, name: str, revision: str) -> str:
    """A file of the workspace at a commit. Raises SluiceError if the commit has none."""
    found = git(top, "show", f"{commit}:./{name}")
    if found is None:
        raise SluiceError(f"{revision} has no {name}: it is no version of a dataset")
    return found


def locked_outs(text: str) -> dict[str, str]:
    """Every path that a lock file speaks of as somebody's result, with its object."""
    stages: Mapping[str, Any] = (yaml.safe_load(text) or {}).get("stages") or {}
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ()) if "md5" in out}


def cache_of(top: Path) -> Path:
    """The folder of DVC's objects."""
    from dvc.repo import Repo

    with Repo(str(top)) as repo:
        return Path(repo.cache.local.path)


def fetch(top: Path, names: Sequence[str]) -> None:
    """Bring objects from DVC's default remote, those of a folder with it. Whoever looks next names what is missing still."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    with Repo(str(top)) as repo:
        try:
            repo.cloud.pull([HashInfo("md5", name) for name in names])
        except (DvcException, OSError) as error:  # no remote, or it can't be reached
            log.warning("nothing could be fetched: %s", error)


def object_path(cache: Path, md5: str) -> Path:
    """Where an object lies."""
    return cache / md5[:2] / md5[2:]


def entries_of(cache: Path, md5: str) -> Iterator[tuple[str, str]]:
    """The files (relative path, object) of a folder's object, or the one file itself as ("", object)."""
    if not md5.endswith(".dir"):
        yield "", md5
        return
    for entry in json.loads(object_path(cache, md5).read_text()):
        yield entry["relpath"], entry["md5"]


def missing(cache: Path, outs: Outs, paths: Sequence[str]) -> dict[str, str]:
    """Every object that the cache lacks, with the path that needs it."""
    found = {}
    for path in paths:
        if not object_path(cache, outs[path]).is_file():
            found[outs[path]] = path
            continue
        found |= {md5: path for _, md5 in entries_of(cache, outs[path]) if not object_path(cache, md5).is_file()}
    return found


def link(target: Path, cache: Path, md5: str) -> None:
    """Lay links to a folder's objects at `target`, as far as they are there; links that are there stay."""
    if not object_path(cache, md5).is_file():
        return
    for name, inner in entries_of(cache, md5):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise SluiceError(f"DVC's object {md5} names a file outside its folder: {name[:80]!r}")
        path = target / name if name else target
        path.parent.mkdir(parents=True, exist_ok=True)
        if object_path(cache, inner).is_file() and not path.is_symlink():
            path.symlink_to(object_path(cache, inner).resolve())
