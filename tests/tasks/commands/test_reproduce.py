"""A version comes back with its bytes, or it is said what was forgotten, what is missing and what is wrong."""

import argparse
import json

import pytest

from tasks.commands import reproduce
from tasks.core import publishing
from tasks.core.errors import VersionError
from tests.tasks.repository import build, make_repository, put


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two versions are published; the workspace is at the second."""
    folder = make_repository(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(publishing, "push", lambda where: None)
    publishing.publish(folder)
    build(folder, crawls=["one", "two"], kept=20)
    publishing.publish(folder)
    return folder


def run(tag="v0001"):
    reproduce.run(argparse.Namespace(version=tag))


def test_equal_bytes_are_proved(folder, capsys):
    run()
    place = folder / ".sluice/worktrees/v0001"
    assert capsys.readouterr().out == f"v0001 is checked out in {place}\n3 of 3 files have the bytes that were published\n"
    assert (place / "data/catalog/sluice.duckdb").read_text() == "catalog of 10"
    assert (place / "params.yaml").read_text().startswith("crawls:\n- one\n")


def test_what_was_forgotten_is_named_with_its_receipt(folder, capsys):
    lost = put(folder, b"one 10 ")
    (folder / f".dvc/cache/files/md5/{lost[:2]}/{lost[2:]}").unlink()
    (folder / "reports/receipts").mkdir(parents=True)
    (folder / "reports/receipts/2026.json").write_text(json.dumps({"objects_deleted": {"cache": [lost]}}))
    run()
    said = capsys.readouterr().out
    assert "2 of 3 files have the bytes that were published" in said
    assert "1 held what was forgotten since (2026.json): data/curated/samples/crawl=one/part.parquet" in said


def test_what_is_missing_for_no_reason_is_an_error(folder):
    lost = put(folder, b"<p>10</p>")
    (folder / f".dvc/cache/files/md5/{lost[:2]}/{lost[2:]}").unlink()
    with pytest.raises(VersionError, match="1 files of v0001 are missing: reports/index.html; get them with `dvc fetch`"):
        run()


def test_other_bytes_are_an_error(folder):
    run()
    path = folder / ".sluice/worktrees/v0001/reports/index.html"
    cache = folder / ".dvc/cache/files/md5"
    files, _ = reproduce.listed_files(reproduce.find_version("v0001"), cache, folder)
    path.unlink()
    # Beside a forgotten file DVC lays out none: the bytes are in the cache.
    assert reproduce.compared(folder / ".sluice/worktrees/v0001", files, cache)[1:] == ([], [])
    path.write_text("<p>11</p>")
    same, wrong, missing = reproduce.compared(folder / ".sluice/worktrees/v0001", files, cache)
    assert (len(same), wrong, missing) == (2, ["reports/index.html"], [])


def test_a_version_that_is_not_there(folder):
    with pytest.raises(VersionError, match=r"there is no version v0009 \(versions: v0001, v0002\)"):
        run("v0009")
