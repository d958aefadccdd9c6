"""Take stock: what DVC says lies in the workspace, and what of it, bytes hashed anew, does not."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

import yaml

from tasks.core.graph import PLACEHOLDER, StageEntry
from tasks.core.sealed import ENTRIES, LOCK, entries
from tasks.core.snapshots import files_of, locked_outs, object_path

BLOCK = 1 << 24
OWN = (".gitignore",)  # what DVC itself writes beside data


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be. `out` is the path that DVC can restore, if that would help; `objects` are damaged ones."""

    path: str
    what: str
    way_out: str
    out: str | None = None
    objects: tuple[Path, ...] = ()


def tracked_outs(folder: Path = Path()) -> dict[str, str]:
    """Every path that a lock file or a .dvc file speaks of, and the name of its object."""
    lock = folder / LOCK
    outs = locked_outs(lock.read_text()) if lock.exists() else {}
    for file in (*folder.glob("*.dvc"), *entries(folder / ENTRIES), *folder.glob("data/**/*.dvc")):
        content = (yaml.safe_load(file.read_text()) or {}) if file.is_file() else {}
        for out in content.get("outs", ()):
            if "md5" in out:
                path = os.path.relpath(file.parent / content.get("wdir", "") / out["path"], folder)
                outs[Path(path).as_posix()] = out["md5"]
    return outs


def changed_files(outs: Mapping[str, str], cache: Path, graph: Mapping[str, StageEntry], folder: Path = Path()) -> Iterator[Fault]:
    """Files that are missing, differ, or are too many; objects of the cache that are missing or damaged.

    Metrics are git's, so the cache has none.
    """
    for path, name in sorted(outs.items()):
        cached = not is_metric(path, graph)
        bad = object_path(cache, name)
        if cached and (not bad.exists() or (name.endswith(".dir") and f"{md5_of(bad)}.dir" != name)):
            yield fault(path, f"DVC's cache has no whole object {name}", path, bad)
            continue
        expected = dict(files_of(cache, path, name))
        for file, digest in expected.items():
            yield from file_faults(folder, path, file, object_path(cache, digest) if cached else None, digest)
        there = folder / path
        if there.is_dir():
            for found in sorted(there.rglob("*")):
                relative = found.relative_to(folder).as_posix()
                if found.is_file() and relative not in expected and found.name not in OWN:
                    yield Fault(relative, "no stage made it", "delete it, or run `dvc repro`")


def file_faults(folder: Path, out: str, file: str, stored: Path | None, digest: str) -> Iterator[Fault]:
    """What is wrong with one file, or with its object in the cache; a hard link is hashed once."""
    there = folder / file
    whole = there.is_file() and md5_of(there) == digest
    linked = stored is not None and stored.exists() and there.is_file() and there.samefile(stored)
    stored_whole = stored is None or (whole if linked else stored.exists() and md5_of(stored) == digest)
    if whole and stored_whole:
        return
    what = "missing" if not there.is_file() else "its bytes are not those that were made"
    if whole:
        what = f"DVC's cache has no whole object {digest} of it"
    yield fault(file, what, out, *([stored] if stored is not None and not stored_whole else []))


def fault(path: str, what: str, out: str, *objects: Path) -> Fault:
    """A fault that DVC can mend."""
    return Fault(path, what, "`sluice verify --repair`, or make it again", out, objects)


def is_metric(path: str, graph: Mapping[str, StageEntry]) -> bool:
    """Whether a path is a stage's metrics."""
    templates = [entry.template for stage in graph.values() for entry in stage.metrics]
    return any(re.fullmatch("[^/]+".join(map(re.escape, PLACEHOLDER.split(template)[::2])), path) for template in templates)


def strays(graph: Mapping[str, StageEntry], crawls: list[str], folder: Path = Path()) -> Iterator[Fault]:
    """Folders of crawls that params.yaml does not name, and what killed writers have left."""
    for entry in sorted({entry.template for stage in graph.values() for entry in stage.outs}):
        place = folder / PLACEHOLDER.split(entry)[0]
        if PLACEHOLDER.search(entry) and entry.endswith("${item}"):
            for found in sorted(place.glob("[!.]*")):
                if found.is_dir() and found.name not in crawls:
                    way_out = f"`sluice crawl remove {found.name} --purge`, or name the crawl in params.yaml"
                    yield Fault(found.relative_to(folder).as_posix(), "belongs to no crawl of params.yaml", way_out)
        if place.is_dir():
            for left in sorted(place.rglob(".*.tmp")):
                yield Fault(left.relative_to(folder).as_posix(), "left by a killed writer", "delete it; the next run of its stage does too")


def md5_of(path: Path) -> str:
    """The name that DVC has for a file's content."""
    state = md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()
