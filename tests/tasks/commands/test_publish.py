"""Only a clean workspace is published."""

import argparse

import pytest
from filelock import FileLock

from tasks.commands import publish as module
from tasks.core import publishing
from tasks.core.errors import VersionError
from tests.tasks.repository import make_repository


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What `dvc status` says; the workspace is the working directory."""
    folder = make_repository(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(publishing, "cache_of", lambda where: folder / ".dvc/cache/files/md5")
    monkeypatch.setattr(publishing, "push", lambda where: None)
    answers = ["{}\n"]
    monkeypatch.setattr(module, "dvc", lambda *words: answers[-1])
    return answers


def test_a_clean_workspace_is_published(said, capsys, tmp_path):
    module.run(argparse.Namespace())
    assert capsys.readouterr().out == f"published v0001: 10 of 20 rows kept, in {tmp_path}/workspace/versions/v0001\n"


def test_what_is_not_committed_is_named(said, tmp_path):
    (tmp_path / "workspace/dvc.lock").write_text("{}")
    (tmp_path / "workspace/new.txt").write_text("")
    with pytest.raises(VersionError, match=r"not committed: dvc.lock, new.txt: commit with git \(after `dvc repro`\), then publish"):
        module.run(argparse.Namespace())


def test_what_dvc_would_make_again_is_not_published(said):
    said.append('{"curate": [{"changed deps": {}}]}')
    with pytest.raises(VersionError, match="`dvc status` is not clean: run `dvc repro`, commit, then publish .*curate"):
        module.run(argparse.Namespace())


def test_a_busy_workspace_is_not_published(said):
    module.LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(module.LOCK), pytest.raises(VersionError, match="in use by another run"):
        module.run(argparse.Namespace())
