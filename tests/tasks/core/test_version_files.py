"""Versions laid out of DVC's cache: links alone, nothing checked out, and an answer to what can't be had any more."""

import json
import os
import shutil
import subprocess
from hashlib import md5
from pathlib import Path

import pytest
import yaml

from tasks.core.errors import SluiceError
from tasks.core.version_files import VERSIONS, lay_out, locked_outs, missing

IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
CURATED = {"samples/crawl=demo-1/00000.parquet": b"first rows", "samples/crawl=demo-2/00000.parquet": b"more rows"}


def git(top: Path, *words: str) -> str:
    return subprocess.run(["git", *IDENTITY, *words], cwd=top, check=True, capture_output=True, text=True).stdout


def keep(store: Path, data: bytes, ending: str = "") -> str:
    """Put an object into a store; its name."""
    name = md5(data, usedforsecurity=False).hexdigest() + ending
    path = store / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name


def keep_folder(store: Path, files: dict[str, bytes]) -> str:
    entries = [{"md5": keep(store, data), "relpath": name} for name, data in files.items()]
    return keep(store, json.dumps(entries).encode(), ".dir")


def write_lock(top: Path, outs: dict[str, str]) -> None:
    stages = {f"stage{number}": {"outs": [{"path": path, "hash": "md5", "md5": name}]} for number, (path, name) in enumerate(outs.items())}
    (top / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


@pytest.fixture
def store(project: Path) -> Path:
    """The cache of a project of two commits: the first has everything, tag v1; the second a catalog and no table."""
    store = project / ".dvc/cache/files/md5"
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (project / ".gitignore").write_text("/data/*\n.sluice/\n/.dvc/cache\n/.dvc/tmp\n/.dvc/.gitignore\n")
    catalog = keep_folder(store, {"sluice.duckdb": b"a catalog", "runs.parquet": b"runs"})
    images = keep_folder(store, {"00000.tar": b"a tar"})
    git(project, "init", "-q")
    write_lock(project, {"data/catalog": catalog, "data/curated": keep_folder(store, CURATED), "data/images/demo-1": images})
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    git(project, "tag", "v1")
    write_lock(project, {"data/catalog": keep_folder(store, {"sluice.duckdb": b"another catalog"})})
    git(project, "commit", "-qam", "second")
    return store


def test_a_tag_is_laid_out_as_links_and_nothing_is_checked_out(project: Path, store: Path) -> None:
    before = git(project, "status", "--porcelain")
    folder = lay_out("v1", project)
    assert folder == project / VERSIONS / git(project, "rev-parse", "v1").strip()
    assert {name: (folder / "data/curated" / name).read_bytes() for name in CURATED} == CURATED
    assert (folder / "data/catalog/sluice.duckdb").read_bytes() == b"a catalog"
    assert (folder / "data/images/demo-1/00000.tar").read_bytes() == b"a tar"
    data = [path for path in (folder / "data").rglob("*") if not path.is_dir()]
    assert len(data) == 5
    assert all(path.is_symlink() and path.resolve().is_relative_to(store.resolve()) for path in data)
    assert git(project, "status", "--porcelain") == before
    assert not (project / "data/catalog").exists()
    assert (lay_out("HEAD", project) / "data/catalog/sluice.duckdb").read_bytes() == b"another catalog"
    assert lay_out("v1", project) == folder


def test_pictures_may_lack_and_come_later(project: Path, store: Path) -> None:
    name = md5(b"a tar", usedforsecurity=False).hexdigest()
    (store / name[:2] / name[2:]).unlink()
    folder = lay_out("v1", project)
    assert not os.path.lexists(folder / "data/images/demo-1/00000.tar")
    keep(store, b"a tar")
    assert (lay_out("v1", project) / "data/images/demo-1/00000.tar").is_file()


def test_what_the_cache_lacks_comes_from_the_remote(project: Path, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "remote/files/md5")
    name = md5(b"more rows", usedforsecurity=False).hexdigest()
    (store / name[:2] / name[2:]).unlink()
    with pytest.raises(SluiceError, match=r"^v1 can't be read whole: 1 of its files, such as one of data/curated, are neither in"):
        lay_out("v1", project)
    with (project / ".dvc/config").open("a") as file:
        file.write(f"    remote = here\n['remote \"here\"']\n    url = {tmp_path / 'remote'}\n")
    assert (lay_out("v1", project) / "data/curated/samples/crawl=demo-2/00000.parquet").read_bytes() == b"more rows"


def test_what_is_no_version_says_so(project: Path, store: Path, tmp_path: Path) -> None:
    for name in ("v2", "--help", "v1:dvc.yaml", ""):
        with pytest.raises(SluiceError, match=r"is neither a folder nor a tag or commit of .*: `git tag` lists what there is$"):
            lay_out(name, project)
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    git(project, "commit", "-qam", "third")
    with pytest.raises(SluiceError, match=r"^HEAD has no catalog: it was committed before `dvc repro catalog`$"):
        lay_out("HEAD", project)
    git(project, "rm", "-q", "dvc.lock")
    git(project, "commit", "-qm", "fourth")
    with pytest.raises(SluiceError, match=r"^HEAD has no dvc.lock: it is no version of a dataset$"):
        lay_out("HEAD", project)


def test_an_object_cannot_name_files_outside_its_folder(project: Path, store: Path) -> None:
    write_lock(project, {"data/catalog": keep_folder(store, {"../../../evil": b"evil"})})
    git(project, "commit", "-qam", "evil")
    with pytest.raises(SluiceError, match=r"names a file outside its folder: '../../../evil'$"):
        lay_out("HEAD", project)
    assert not list(project.rglob("evil"))


def test_locks_and_stores_are_read(tmp_path: Path) -> None:
    assert locked_outs("") == {}
    outs = {"a": keep_folder(tmp_path, {"x": b"1", "y": b"2"}), "b": keep(tmp_path, b"3")}
    assert missing(tmp_path, outs, ["a", "b"]) == {}
    for data in (b"1", b"3"):
        name = md5(data, usedforsecurity=False).hexdigest()
        (tmp_path / name[:2] / name[2:]).unlink()
    assert sorted(missing(tmp_path, outs, ["a", "b"]).values()) == ["a", "b"]
