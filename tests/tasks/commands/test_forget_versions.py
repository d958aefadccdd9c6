"""What is forgotten leaves the published version and all older folders, and every tag that has lost something says so."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from tasks.commands.forget_versions import issue_again, published_place, refresh_waits, strip, under_way
from tasks.core import publishing
from tasks.core.errors import SluiceError
from tasks.core.git import head
from tasks.core.versions import BRANCH, current_tag, list_versions
from tasks.core.worktrees import REFRESH, REFRESH_LOCK
from tasks.methods.forgetting import Wanted
from tests.tasks.commands.test_forget import found_in, one_sample, rows_of, traces
from tests.tasks.repository import build, git, make_repository
from tests.workspace import environment

WANTED = Wanted(frozenset({"a" * 32}), frozenset({"b" * 32}), frozenset({"http://demo.test/a.jpg"}), frozenset())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two versions are published."""
    folder = make_repository(tmp_path / "workspace")
    monkeypatch.setattr(publishing, "push", lambda where: None)
    monkeypatch.setattr("tasks.commands.forget_versions.push", lambda where: None)
    publishing.publish(folder)
    build(folder, crawls=["one", "two"], kept=20)
    publishing.publish(folder)
    return folder


def write_receipt(place: Path, *tags: str) -> None:
    path = place / "reports/receipts/2026-x.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"left": {"tags_to_issue_again": tags}}))


def test_the_published_version_is_issued_again_and_older_ones_say_what_they_lack(folder):
    place = published_place(folder)
    assert place == folder / REFRESH
    assert (place / "data/catalog/sluice.duckdb").read_text() == "catalog of 20"
    assert not under_way(place)
    (place / "params.yaml").write_text((place / "params.yaml").read_text() + "# edited\n")
    write_receipt(place, "v0001", "v0002", "v1")
    assert under_way(place)
    assert published_place(folder) == place  # what was begun there is not thrown away
    issued = issue_again(place)
    assert [(version.tag, version.parent, version.receipt) for version in issued] == [
        ("v0002+forgotten.1", "v0002", "2026-x.json"),
        ("v0001+forgotten.1", "v0001", "2026-x.json"),
    ]
    assert [version.tag for version in list_versions(folder)] == ["v0001", "v0001+forgotten.1", "v0002", "v0002+forgotten.1"]
    assert git(folder, "rev-parse", BRANCH) == head(place) == issued[0].commit
    assert issued[1].commit == list_versions(folder)[0].commit
    assert current_tag(folder / "versions") == "v0002+forgotten.1"
    assert "2026-x.json" in (folder / "versions/current/version.json").read_text()
    assert "without what 2026-x.json names" in git(folder, "tag", "-n1", "--list", "v0001+forgotten.1")
    assert issue_again(place) == []


def test_the_next_version_counts_on_after_one_issued_again(folder):
    place = published_place(folder)
    write_receipt(place)
    issue_again(place)
    git(folder, "merge", "-q", "published")
    build(folder, crawls=["one", "two", "three"], kept=30)
    version = publishing.publish(folder)
    assert (version.tag, version.parent, version.crawls_added) == ("v0003", "v0002+forgotten.1", ["three"])


def test_folders_lose_rows_and_whatever_else_shows_it(folder, tmp_path):
    old = folder / "versions/v0001"
    rows = {"sample_id": ["a" * 32, "c" * 32], "image_id": ["b" * 32, "d" * 32]}
    table = old / "data/curated/samples/crawl=one/part.parquet"
    table.unlink()
    pq.write_table(pa.table(rows), table)
    table.chmod(0o444)
    (old / "notes.txt").write_text("see http://demo.test/a.jpg")
    (folder / ".sluice/worktrees/v0001").mkdir(parents=True)
    for path in (folder / "versions/v0002").rglob("*.parquet"):
        path.unlink()
        pq.write_table(pa.table({"sample_id": ["c" * 32]}), path)
    other = (folder / "versions/v0002/reports/index.html").read_bytes()
    for _ in range(2):
        strip(WANTED, Path("data/crawls"), folder)
        assert pq.read_table(table)["sample_id"].to_pylist() == ["c" * 32]
        assert table.stat().st_mode & 0o777 == 0o444
        assert not (old / "notes.txt").exists()
        assert not (old / "reports/index.html").exists()  # it shows pictures, and nobody can tell which
        assert (folder / "versions/v0002/reports/index.html").read_bytes() == other
        assert not (folder / ".sluice/worktrees/v0001").exists()


def test_without_git_or_versions_there_is_nothing_to_do(tmp_path):
    assert published_place(tmp_path) is None
    strip(WANTED, Path("data/crawls"), tmp_path)
    folder = make_repository(tmp_path / "workspace")
    assert published_place(folder) is None


def test_a_refresh_that_runs_is_waited_for(folder):
    with refresh_waits(folder):
        pass
    with FileLock(folder / REFRESH_LOCK), pytest.raises(SluiceError, match="a `refresh` takes in a crawl just now"), refresh_waits(folder):
        pass


@pytest.mark.slow
def test_nothing_published_holds_the_image_afterwards(finished, tmp_path):
    top = tmp_path / "workspace"
    shutil.copytree(finished, top, symlinks=True)
    for left in (".sluice/exports", ".sluice/worktrees", "exported"):
        shutil.rmtree(top / left, ignore_errors=True)

    def call(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", *words], cwd=top, capture_output=True, text=True, env=environment(top))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    git(top, "add", "--all")
    git(top, "commit", "-qm", "built")
    call("dvc", "checkout")
    call("tasks.cli", "publish")
    assert '"n": ' in call("tasks.cli", "--workspace", "versions/current", "query", "SELECT count(*) AS n FROM samples", "--format", "json")
    sample, records = one_sample(top), rows_of(top, "records")
    gone = traces(sample, records, top)
    assert sample["url"] in published_urls(top / "versions/v0001")
    said = call("tasks.cli", "forget", sample["sample_id"])
    assert "issued again: v0001+forgotten.1" in said
    assert found_in(top, gone) == []
    assert current_tag(top / "versions") == "v0001+forgotten.1"
    for folder in ("v0001", "current"):
        assert sample["url"] not in published_urls(top / "versions" / folder)
    assert "Running stage" not in call("dvc", "repro", "--dry")
    proved = call("tasks.cli", "reproduce", "v0001+forgotten.1")
    assert "missing" not in proved
    assert "held what was forgotten since" in call("tasks.cli", "reproduce", "v0001")


def published_urls(version: Path) -> list[str]:
    """The addresses in the table that a version's folder holds, whose bytes are compressed."""
    return list(pq.read_table(version / "data/curated/samples")["url"].to_pylist())
