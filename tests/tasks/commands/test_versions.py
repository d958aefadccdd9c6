"""The list of versions says which is current, which has a folder, and which is in git alone."""

import argparse
import json
import shutil

import pytest

from tasks.commands import versions
from tasks.core import publishing
from tests.tasks.repository import build, make_repository


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = make_repository(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(publishing, "cache_of", lambda where: folder / ".dvc/cache/files/md5")
    monkeypatch.setattr(publishing, "push", lambda where: None)
    return folder


def test_versions_are_listed_with_their_state(folder, capsys):
    for crawls in (["one"], ["one", "two"], ["one", "two", "three"]):
        build(folder, crawls=crawls, kept=10 * len(crawls), text="x")
        publishing.publish(folder)
    shutil.rmtree(folder / "versions/v0001")
    versions.run(argparse.Namespace(format="json"))
    rows = json.loads(capsys.readouterr().out)
    assert [(row["version"], row["kept"], row["came_in"], row["state"]) for row in rows] == [
        ("v0001", 10, "one", "in git alone"),
        ("v0002", 20, "two", "there"),
        ("v0003", 30, "three", "current"),
    ]


def test_no_version_is_an_empty_list(folder, capsys):
    versions.run(argparse.Namespace(format="json"))
    assert json.loads(capsys.readouterr().out) == []
