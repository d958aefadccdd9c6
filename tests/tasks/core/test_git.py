"""Git answers, or its own message is the error."""

import pytest

from tasks.core.errors import VersionError
from tasks.core.git import contains, git, head, holds, main_workspace, run_bytes, text_at
from tests.tasks.repository import build, make_repository


@pytest.fixture
def folder(tmp_path):
    return make_repository(tmp_path / "workspace")


def test_the_main_workspace_is_found_from_a_worktree(folder):
    git("worktree", "add", "--detach", ".sluice/worktrees/x", folder=folder)
    assert main_workspace(folder / ".sluice/worktrees/x") == main_workspace(folder) == folder


def test_a_folder_without_a_commit_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(VersionError, match=r"has no git commit: .*run `git init`, `git add \.` and `git commit` first"):
        main_workspace(tmp_path)


def test_a_part_of_a_repository_is_no_workspace_for_versions(folder):
    with pytest.raises(VersionError, match="is not the top folder of its git repository"):
        main_workspace(folder / "reports")


def test_contains_is_true_of_a_commit_itself_and_what_follows(folder):
    first = head(folder)
    second = build(folder, crawls=["one", "two"], kept=20)
    assert contains(first, first, folder)
    assert contains(second, first, folder)
    assert not contains(first, second, folder)


def test_files_of_a_commit(folder):
    assert text_at("HEAD", "data/concepts/mine.yaml", folder) == "concepts: []\n"
    assert text_at("HEAD", "data/none", folder) is None
    assert run_bytes("archive", "HEAD", "--", "dvc.yaml", folder=folder)[257:262] == b"ustar"
    assert not holds("rev-parse", "--verify", "--quiet", "none", folder=folder)


def test_gits_own_message_is_the_error(folder):
    with pytest.raises(VersionError, match="`git rev-parse --verify none` failed in .*: fatal: "):
        git("rev-parse", "--verify", "none", folder=folder)
    with pytest.raises(VersionError, match="`git archive none` failed"):
        run_bytes("archive", "none", folder=folder)


def test_a_commit_is_made_where_git_knows_nobody(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.delenv("GIT_COMMITTER_EMAIL", raising=False)
    git("commit", "--allow-empty", "-q", "-m", "Night", folder=folder)
    assert git("log", "-1", "--format=%an <%ae>", folder=folder) == "Sluice <sluice@localhost>"
