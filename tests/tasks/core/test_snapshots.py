"""A version's folder has the published bytes, read-only, from the commit and the cache alone."""

import os
import shutil
from dataclasses import replace

import pytest

from tasks.core import snapshots
from tasks.core.errors import VersionError
from tasks.core.git import head
from tasks.core.snapshots import make_folder, shown_paths
from tasks.core.versions import Version
from tests.conftest import REPO
from tests.tasks.repository import build, make_repository


@pytest.fixture
def folder(tmp_path):
    return make_repository(tmp_path / "workspace")


@pytest.fixture
def cache(folder):
    return folder / ".dvc/cache/files/md5"


@pytest.fixture
def version(folder):
    return Version("v0001", head(folder), None, "2026-01-02T03:04:05+00:00", rows=20, kept=10, crawls=["one"], crawls_added=["one"])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_folder_has_tables_catalog_report_and_what_git_has(folder, cache, version, tmp_path):
    made = make_folder(tmp_path / "versions", version, cache, folder)
    assert names(made) == [
        *("data/catalog/sluice.duckdb", "data/concepts/mine.yaml", "data/curated/samples/crawl=one/part.parquet"),
        *("dvc.lock", "dvc.yaml", "params.yaml", "reports/index.html", "reports/metrics/curate.json", "version.json"),
    ]
    assert (made / "data/curated/samples/crawl=one/part.parquet").read_text() == "one 10 "
    assert '"kept": 10' in (made / "version.json").read_text()


def test_files_are_read_only_links(folder, cache, version, tmp_path):
    made = make_folder(tmp_path / "versions", version, cache, folder)
    assert {(made / name).stat().st_mode & 0o777 for name in names(made)} == {0o444}
    assert (made / "reports/index.html").stat().st_nlink == 2


def test_where_links_can_not_be_made_it_copies(folder, cache, version, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(snapshots.os, "link", refuse)
    made = make_folder(tmp_path / "versions", version, cache, folder)
    assert (made / "reports/index.html").read_text() == "<p>10</p>"
    assert (made / "reports/index.html").stat().st_nlink == 1


def test_a_later_commit_changes_nothing_in_an_older_folder(folder, cache, version, tmp_path):
    made = make_folder(tmp_path / "versions", version, cache, folder)
    later = replace(version, tag="v0002", commit=build(folder, crawls=["one", "two"], kept=30))
    again = make_folder(tmp_path / "versions", later, cache, folder)
    assert (again / "data/curated/samples/crawl=two/part.parquet").exists()
    assert (made / "data/curated/samples/crawl=one/part.parquet").read_text() == "one 10 "
    shutil.rmtree(made)
    assert names(make_folder(tmp_path / "versions", version, cache, folder))[2].endswith("crawl=one/part.parquet")


@pytest.mark.parametrize("suffix", ["", ".dir"])
def test_a_missing_object_is_named_and_nothing_is_left(folder, cache, version, tmp_path, suffix):
    for path in cache.glob("??/*"):
        if path.name.endswith(".dir") == bool(suffix):
            os.unlink(path)
    with pytest.raises(VersionError, match=r"DVC's cache has no object [0-9a-f]{32}(\.dir)? of .*: get it with `dvc fetch`"):
        make_folder(tmp_path / "versions", version, cache, folder)
    assert list((tmp_path / "versions").iterdir()) == []


def test_the_project_shows_what_its_catalog_reads():
    shown = shown_paths(REPO)
    assert shown[:2] == ["data/catalog", "reports/index.html"]
    assert {"data/curated", "data/pairs", "data/neighbors", "data/predictions", "data/concepts"} <= set(shown)
    assert not {"data/images", "data/embeddings", "data/models"} & set(shown)
