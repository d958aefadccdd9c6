"""Clean DVC's stores: commit the new state of the workspace, then delete every object that holds an image, here and on remotes in folders.

An object of an older version is looked into: tars by what their KEY.json says, Parquet files by ids, addresses, hashes and bytes, all
else by a search for the ids and addresses as text.
"""

import json
import subprocess
import tarfile
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tasks.commands.crawl import dvc
from tasks.core.sealed import entries
from tasks.index import ROWS
from tasks.methods.forgetting import Wanted, hits, telling_columns

BLOCK = 1 << 24
Object = tuple[str, Path]


@dataclass(frozen=True)
class Stores:
    """DVC's stages and stores: `fresh` stages are what DVC would not run; `others` are remotes that are no folders here."""

    fresh: list[str]
    folders: list[Path]
    others: list[str]


def read_stores() -> Stores:
    """What DVC knows of this workspace. Raises CrawlError if it can't be asked."""
    from dvc.repo import Repo

    stale = set(json.loads(status() or "{}"))
    with Repo() as repo:
        names = [stage.addressing for stage in repo.index.stages]
        remotes = {name: str(remote.get("url", "")) for name, remote in (repo.config.get("remote") or {}).items()}
        cache = Path(repo.cache.local.path)
    local = [Path(url) / "files" / "md5" for url in remotes.values() if "://" not in url]
    others = [name for name, url in remotes.items() if "://" in url]
    return Stores([name for name in names if name not in stale], [cache, *(folder for folder in local if folder.is_dir())], others)


def status() -> str:
    """`dvc status` as JSON."""
    return dvc("status", "--json").strip().splitlines()[-1] if Path("dvc.lock").exists() else ""


def commit(stages: Sequence[str]) -> None:
    """Take what lies in the workspace as the stages' results, so that `dvc repro` runs none of them."""
    if stages:
        dvc("commit", "--force", *stages)


def md5_of(path: Path) -> str:
    """The name that DVC has for a file's content."""
    state = md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()


def objects(folder: Path) -> Iterator[Object]:
    """Every object of a store: its name and its file."""
    return ((path.parent.name + path.name, path) for path in sorted(folder.glob("??/*")) if path.is_file())


def lock_objects(content: dict[str, object]) -> Iterator[str]:
    """The md5 of every path of a lock file."""
    stages = content.get("stages") if isinstance(content, dict) else None
    for stage in (stages or {}).values() if isinstance(stages, dict) else ():
        for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
            if "md5" in entry:
                yield entry["md5"]


def current_objects(crawls: Path, inside: dict[str, list[str]]) -> set[str]:
    """The objects that the lock file, the crawls' .dvc files and the sealed entries speak of; `inside` has what every folder lists."""
    lock = Path("dvc.lock")
    names = set(lock_objects(yaml.safe_load(lock.read_text()))) if lock.exists() else set()
    for file in (*crawls.glob("*.dvc"), *entries()):
        names |= {out["md5"] for out in yaml.safe_load(file.read_text()).get("outs", ()) if "md5" in out}
    return names | {inner for name in names for inner in inside.get(name, ())}


def clean(store: Path, wanted: Wanted, doomed: Iterable[str]) -> list[str]:
    """Delete the objects of a store that were replaced (`doomed`) or hold what is wanted; their names."""
    known = dict(objects(store))
    found = {name for name in doomed if name in known}
    found |= {name for name, path in known.items() if name not in found and not name.endswith(".dir") and holds(path, wanted)}
    found |= beside_rows([path for name, path in known.items() if name.endswith(".dir")], known, found)
    for name in sorted(found):
        known[name].unlink(missing_ok=True)
    return sorted(found)


def beside_rows(lists: Iterable[Path], known: Container[str], found: Container[str]) -> set[str]:
    """The `known` vectors and indexes of older versions, told by the rows beside them; `lists` are DVC's objects of folders."""
    more: set[str] = set()
    for path in lists:
        entries = json.loads(path.read_text())
        if any(entry["relpath"] == ROWS and entry["md5"] in found for entry in entries):
            more |= {entry["md5"] for entry in entries if entry["md5"] in known}
    return more


def holds(path: Path, wanted: Wanted) -> bool:
    """Whether an object holds what is wanted."""
    with path.open("rb") as file:
        head = file.read(4)
    try:
        if head == b"PAR1":
            return table_holds(path, wanted)
        if tarfile.is_tarfile(path):
            return tar_holds(path, wanted)
    except (OSError, tarfile.TarError, pa.ArrowInvalid, ValueError):
        pass  # damaged: searched as text below
    return text_holds(path, wanted)


def table_holds(path: Path, wanted: Wanted) -> bool:
    """Whether a Parquet file has a row that speaks of it: emptied rows keep their hashes and don't count."""
    with pq.ParquetFile(path) as file:
        names = telling_columns(file.schema_arrow, wanted)
        if not names:
            return False
        emptied = [name for name in ("url", "status", "detail", "reasons", "reason") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=[*dict.fromkeys([*names, *emptied])]):
            table = pa.Table.from_batches([batch])
            mask = hits(table.select(names), wanted)
            if any(not is_emptied(row) for row in table.select(emptied).filter(pa.array(mask)).to_pylist()) or (mask.any() and not emptied):
                return True
    return False


def is_emptied(row: dict[str, object]) -> bool:
    """Whether a row is what `forget` leaves of one."""
    return "forgotten" in (row.get("detail"), row.get("reason")) or row.get("reasons") == ["forgotten"] or row.get("url") == ""


def tar_holds(path: Path, wanted: Wanted) -> bool:
    """Whether an image of a tar has one of the ids or hashes."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            if member.name.endswith(".json") and (stream := tar.extractfile(member)) is not None:
                fields = json.loads(stream.read())
                if fields.get("image_id") in wanted.images or fields.get("sha256") in wanted.digests:
                    return True
    return False


def text_holds(path: Path, wanted: Wanted) -> bool:
    """Whether any of the ids or addresses stands in a file as text."""
    needles = [text.encode() for text in (*wanted.samples, *wanted.images, *wanted.urls)]
    longest = max(map(len, needles), default=0)
    with path.open("rb") as file:
        tail = b""
        while block := file.read(BLOCK):
            block = tail + block
            if any(needle in block for needle in needles):
                return True
            tail = block[-longest:]
    return False


def affected_tags(doomed: frozenset[str], folders: dict[str, list[str]]) -> list[str]:
    """Tags of git whose data can no longer be checked out as a whole. `folders` has the objects of every .dir object."""
    listed = subprocess.run(["git", "tag"], capture_output=True, text=True, check=False)
    tags = []
    for tag in listed.stdout.split() if listed.returncode == 0 else ():
        shown = subprocess.run(["git", "show", f"{tag}:dvc.lock"], capture_output=True, text=True, check=False)
        if shown.returncode == 0:
            names = set(lock_objects(yaml.safe_load(shown.stdout)))
            if doomed & (names | {inner for name in names for inner in folders.get(name, ())}):
                tags.append(tag)
    return tags


def folder_objects(stores: Sequence[Path]) -> dict[str, list[str]]:
    """What every .dir object lists."""
    found = {}
    for store in stores:
        for name, path in objects(store):
            if name.endswith(".dir"):
                found[name] = [entry["md5"] for entry in json.loads(path.read_text())]
    return found
