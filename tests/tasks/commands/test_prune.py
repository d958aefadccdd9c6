"""Old versions go by policy, with what they alone hold; whatever anything else names stays."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.commands.prune import old_versions
from tasks.core.git import git, head
from tasks.core.snapshots import cache_of
from tasks.core.versions import BRANCH, Version, list_versions, point_to, set_refs, versions_folder
from tests.workspace import environment

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def version(number: int, days: float, commit: str = "", now: datetime = NOW) -> Version:
    published = (now - timedelta(days=days)).isoformat(timespec="seconds")
    return Version(f"v{number:04d}", commit, None, published, rows=10, kept=5, crawls=["a"], crawls_added=[])


@pytest.mark.parametrize(
    ("keep", "days", "spared", "expected"),
    [
        (1, 0, (), ["v0001", "v0002", "v0003"]),
        (2, 0, (), ["v0001", "v0002"]),
        (1, 15, (), ["v0001", "v0002"]),
        (1, 15, ("v0001",), ["v0002"]),
        (9, 0, (), []),
    ],
)
def test_the_policy(keep, days, spared, expected):
    versions = [version(1, 40), version(2, 20), version(3, 10), version(4, 1)]
    found = old_versions(versions, keep, timedelta(days=days), NOW, frozenset(spared))
    assert [one.tag for one in found] == expected


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with three versions of one file, each forty days old and in a commit of its own, and a tag of somebody's."""
    top = tmp_path / "workspace"
    (top / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(top)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.delenv("SLUICE_VERSIONS", raising=False)
    Path(".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n    autostage = false\n")
    Path(".gitignore").write_text("/data\n/versions/\n.sluice/\n/.dvc/tmp\n/.dvc/cache\n")
    Path("dvc.yaml").write_text("stages:\n  index: {cmd: exec python -m tasks.index, outs: [data]}\n")
    git("init", "-q")
    before = None
    for number in (1, 2, 3):
        Path("data").write_text(f"version {number}")
        dvc("commit", "--force", "index")
        git("add", "--all")
        git("commit", "-q", "-m", f"Version {number}")
        if before is None:
            git("update-ref", BRANCH, head())
        set_refs(version(number, 40, head(), datetime.now(UTC)), before or head())
        before = head()
        folder = versions_folder() / f"v{number:04d}"
        folder.mkdir(parents=True)
        (folder / "data").write_text(f"version {number}")
        folder.chmod(0o555)
    point_to(versions_folder(), "v0003")
    git("tag", "paper", "v0002^{commit}")
    return top


def dvc(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, env=environment(Path.cwd()))
    assert done.returncode == 0, done.stdout + done.stderr


def stored() -> set[str]:
    return {path.read_text() for path in cache_of(Path()).rglob("*") if path.is_file()}


def test_without_yes_nothing_happens(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--keep", "1", "--older-than", "30"]) == 0
    out = capsys.readouterr().out
    assert "would drop 2 versions and free about 0.0 MB (1 objects): add --yes" in out  # `paper` holds the second one's
    assert len(list_versions()) == 3
    assert len(stored()) == 3


def test_old_versions_go_and_what_a_tag_names_stays(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--keep", "1", "--older-than", "30", "--yes"]) == 0
    assert "dropped v0001, v0002" in capsys.readouterr().out
    assert [one.tag for one in list_versions()] == ["v0003"]
    assert sorted(path.name for path in versions_folder().iterdir()) == ["current", "v0003"]
    assert stored() == {"version 2", "version 3"}
    assert main(["prune", "--keep", "1", "--yes"]) == 0
    assert "nothing to drop: 1 versions" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--keep", "0"], ["--older-than", "-1"]])
def test_a_policy_that_keeps_nothing_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", *words]) == 1
    assert "keep 1 version or more" in capsys.readouterr().err
