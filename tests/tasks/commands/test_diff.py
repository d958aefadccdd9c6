"""Two versions, or a version and the workspace, compared by decision and by metric."""

import argparse
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.commands import diff
from tasks.core import publishing
from tasks.core.errors import VersionError
from tests.tasks.repository import build, make_repository


def write_samples(path, rows):
    names = ("sample_id", "crawl", "concept", "keep", "reason", "curated_concept")
    types = [pa.string()] * 3 + [pa.bool_()] + [pa.string()] * 2
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    pq.write_table(pa.table([pa.array([row[place] for row in rows], kind) for place, kind in enumerate(types)], names=names), path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two published versions whose folders hold real tables; the workspace has what v0002 has, and one more row."""
    folder = make_repository(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(publishing, "cache_of", lambda where: folder / ".dvc/cache/files/md5")
    monkeypatch.setattr(publishing, "push", lambda where: None)
    publishing.publish(folder)
    build(folder, crawls=["one", "two"], kept=20)
    publishing.publish(folder)
    old, new = [("a", "one", "cat", True, None, "cat")], [("a", "one", "cat", False, "duplicate", None)]
    place = "data/curated/samples/crawl=one/part.parquet"
    write_samples(folder / "versions/v0001" / place, old)
    write_samples(folder / "versions/v0002" / place, new)
    (folder / "versions/v0002/data/curated/samples/crawl=two/part.parquet").unlink()
    write_samples(folder / place, [*new, ("b", "two", "dog", True, None, "dog")])
    return folder


def run(before, after, style="json"):
    diff.run(argparse.Namespace(before=before, after=after, examples=3, format=style))


def test_decisions_and_metrics(folder, capsys):
    run("v0001", "v0002")
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {"change": "dropped now", "concept": "cat", "before": "kept", "after": "duplicate", "n_rows": 1, "examples": ["a"]}
    assert [(row["change"], row["concept"], row["before"], row["after"]) for row in rows[1:]] == [
        ("metric", "curate.concepts.cat", 10.0, 20.0),
        ("metric", "curate.kept", 10.0, 20.0),
        ("metric", "curate.rows", 20.0, 40.0),
    ]


def test_the_workspace_can_be_compared(folder, capsys):
    run("v0002", "workspace", "table")
    said = capsys.readouterr().out
    assert "came    dog              kept   1       b" in said
    assert "all metrics are the same" in said


def test_nothing_differs_from_itself(folder, capsys):
    run("v0001", "v0001", "table")
    assert capsys.readouterr().out == "every row is in both, with the same decision\n\nall metrics are the same\n"


def test_a_pruned_version_names_the_way_back(folder):
    (folder / "versions/v0001").rename(folder / "versions/gone")
    with pytest.raises(VersionError, match="the folder of v0001 is not in .*/versions: `sluice reproduce v0001` gets it back"):
        run("v0001", "v0002")


def test_a_broken_table_is_named(folder):
    path = folder / "versions/v0001/data/curated/samples/crawl=one/part.parquet"
    path.write_text("no parquet")
    with pytest.raises(VersionError, match="the tables of v0001 and v0002 can't be compared"):
        run("v0001", "v0002")


def test_examples_are_counted_from_none(folder):
    with pytest.raises(VersionError, match="--examples -1 must be 0 or more"):
        diff.run(argparse.Namespace(before="v0001", after="v0002", examples=-1, format="table"))
