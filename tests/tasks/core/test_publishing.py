"""Published as a whole or not at all, whatever interrupts it."""

import pytest

from tasks.core import publishing as module
from tasks.core.errors import Refused, VersionError
from tasks.core.git import git, head
from tasks.core.publishing import publish, settle
from tasks.core.versions import BRANCH, current_tag, list_versions
from tests.tasks.repository import build, make_repository


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository with nothing published; DVC is not asked."""
    made = make_repository(tmp_path / "workspace")
    monkeypatch.setattr(module, "cache_of", lambda folder: made / ".dvc/cache/files/md5")
    monkeypatch.setattr(module, "push", lambda folder: None)
    return made


def test_the_first_version(folder):
    version = publish(folder)
    assert (version.tag, version.rows, version.kept, version.crawls_added, version.parent) == ("v0001", 20, 10, ["one"], None)
    assert version.metrics == {"curate.kept": 10.0}
    assert git("rev-parse", BRANCH, folder=folder) == version.commit == head(folder)
    assert current_tag(folder / "versions") == "v0001"
    assert (folder / "versions/current/reports/index.html").read_text() == "<p>10</p>"


def test_the_next_one_names_its_parent_and_what_came(folder):
    publish(folder)
    build(folder, crawls=["one", "two"], kept=20)
    version = publish(folder)
    assert (version.tag, version.parent, version.crawls_added) == ("v0002", "v0001", ["two"])
    assert (folder / "versions/current/reports/index.html").read_text() == "<p>20</p>"
    assert (folder / "versions/v0001/reports/index.html").read_text() == "<p>10</p>"
    assert [found.tag for found in list_versions(folder)] == ["v0001", "v0002"]


def test_a_gate_refuses_and_nothing_changes(folder):
    first = publish(folder)
    build(folder, crawls=["one"], kept=4)
    with pytest.raises(Refused, match=r"curate.kept fell from 10 to 4, by 60%; 50% is allowed \(rows kept\)"):
        publish(folder)
    assert git("rev-parse", BRANCH, folder=folder) == first.commit
    assert [path.name for path in sorted((folder / "versions").iterdir())] == ["current", "v0001"]


def test_the_same_commit_twice_is_nothing_new(folder):
    publish(folder)
    with pytest.raises(VersionError, match="there is nothing to publish: this commit is v0001"):
        publish(folder)


def test_a_commit_beside_the_published_one_is_refused(folder):
    start = head(folder)
    build(folder, crawls=["one", "two"], kept=20)
    publish(folder)
    git("switch", "-q", "-c", "other", start, folder=folder)
    build(folder, crawls=["one", "three"], kept=30)
    with pytest.raises(VersionError, match="the published version is not part of this commit: run `git merge published`"):
        publish(folder)


def test_the_published_branch_must_not_be_checked_out(folder):
    publish(folder)
    git("switch", "-q", "published", folder=folder)
    with pytest.raises(VersionError, match=r"the branch `published` is checked out: switch to another one"):
        publish(folder)


def test_a_remote_that_can_not_be_reached_publishes_nothing(folder, monkeypatch):
    def unreachable(folder):
        raise VersionError("`dvc push` failed")

    monkeypatch.setattr(module, "push", unreachable)
    with pytest.raises(VersionError):
        publish(folder)
    assert list_versions(folder) == []
    assert not (folder / "versions").exists()


@pytest.mark.parametrize("step", ["make_folder", "point_to"])
def test_a_kill_after_the_tag_is_made_good_by_the_next_run(folder, monkeypatch, step):
    publish(folder)
    build(folder, crawls=["one", "two"], kept=20)
    with monkeypatch.context() as patched:

        def killed(*words):
            raise KeyboardInterrupt

        patched.setattr(module, step, killed)
        with pytest.raises(KeyboardInterrupt):
            publish(folder)
    assert (folder / "versions/current/reports/index.html").read_text() == "<p>10</p>"  # readers see the old one, whole
    settle(folder)
    assert (folder / "versions/current/reports/index.html").read_text() == "<p>20</p>"


def test_settle_without_any_version_does_nothing(folder):
    settle(folder)
    assert not (folder / "versions").exists()
