"""A remote that is reached through DVC alone: what holds an image goes, what can't be reached is said."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.commands.forget_remote import clean_remote
from tests.tasks.commands.test_forget_cache import WANTED, put, table, tar


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of a remote; a folder stands for a bucket, for DVC reaches both in one way. `lost` is one that nobody can reach."""
    top = tmp_path / "top"
    (top / ".dvc").mkdir(parents=True)
    remotes = {"far": tmp_path / "remote", "lost": "hdfs://nowhere.test/x"}
    config = "".join(f"['remote \"{name}\"']\n    url = {url}\n" for name, url in remotes.items())
    (top / ".dvc/config").write_text(f"[core]\n    no_scm = true\n    analytics = false\n{config}")
    monkeypatch.chdir(top)
    return tmp_path / "remote/files/md5"


def test_objects_that_hold_it_go_and_the_others_stay(remote: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = put(remote, table(tmp_path / "a", sample_id=["5a" * 16]))
    np.save(tmp_path / "b.npy", np.ones(3))
    vectors = put(remote, tmp_path / "b.npy")
    pictures = put(remote, tar(tmp_path / "c", image_id="1a" * 16))
    (tmp_path / "d").write_text("replaced")
    replaced = put(remote, tmp_path / "d")
    (tmp_path / "e").write_text("the cache has it, and it speaks of " + "5a" * 16)  # never brought: the caller has looked into it
    harmless = put(remote, tmp_path / "e")
    other = put(remote, table(tmp_path / "f", sample_id=["x"]))
    entries = [{"md5": rows, "relpath": "rows.parquet"}, {"md5": vectors, "relpath": "vectors.npy"}]
    (tmp_path / "g").write_text(json.dumps(entries))
    folder = put(remote, tmp_path / "g", suffix=".dir")
    assert clean_remote("far", WANTED, [replaced, "0" * 32], [harmless, folder]) == sorted([rows, vectors, pictures, replaced])
    assert {path.parent.name + path.name for path in remote.glob("*/*")} == {harmless, other, folder}
    assert capsys.readouterr().out == "looking into 4 objects of the remote that the cache doesn't have\n"
    assert clean_remote("far", WANTED, [replaced], [harmless, other]) == []


def test_an_empty_remote_has_nothing_to_lose(remote: Path) -> None:
    assert clean_remote("far", WANTED, ["0" * 32], []) == []


def test_a_remote_that_cannot_be_reached_is_said(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean_remote("lost", WANTED, [], []) is None
    said = capsys.readouterr().out
    assert said.startswith("remote 'lost' was not cleaned (")
    assert said.endswith("): the receipt names the objects to delete there\n")
    assert said.count("\n") == 1
