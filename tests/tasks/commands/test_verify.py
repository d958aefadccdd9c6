"""Verify finds damage in a real workspace and mends it from the cache and the remote; what it can't mend it says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tests.tasks.conftest import write_table
from tests.workspace import environment

GRAPH = """
stages:
  ingest:
    foreach: ${crawls}
    do:
      cmd: exec python -m tasks.ingest ${item}
      deps: ["data/crawls/${item}"]
      outs: ["data/images/${item}", "data/validity/${item}"]
"""
SHARD = Path("data/validity/alpha/00000.parquet")


def dvc(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, env=environment(Path.cwd()))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a table and images of one crawl, pushed to a remote."""
    from tasks.contracts.validity import CONTRACT

    top = tmp_path_factory.mktemp("verify") / "workspace"
    (top / ".dvc").mkdir(parents=True)
    (top / ".dvc/config").write_text(
        "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n    site_cache_dir = ../.site\n    remote = far\n"
        "[cache]\n    type = hardlink\n['remote \"far\"']\n    url = ../../far\n"
    )
    (top / "dvc.yaml").write_text(GRAPH)
    (top / "params.yaml").write_text("crawls: [alpha]\n")
    rows = [{"sample_id": f"{n:032x}", "crawl": "alpha", "valid": True, "reasons": []} for n in range(3)]
    write_table(CONTRACT, top / "data/validity", rows)
    for name in ("images/alpha/00000.tar", "crawls/alpha/manifest.parquet"):
        (top / "data" / name).parent.mkdir(parents=True)
        (top / "data" / name).write_text(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        dvc("add", "data/crawls/alpha")
        dvc("commit", "--force", "ingest@alpha")
        dvc("push")
    return top


@pytest.fixture
def workspace(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, whose files are links to DVC's objects again."""
    top = tmp_path / "here/workspace"
    shutil.copytree(original, top)
    shutil.copytree(original.parent / "far", top.parent / "far")
    monkeypatch.chdir(top)
    return top


def objects(top: Path, content: bytes) -> list[Path]:
    return [path for path in (top / ".dvc/cache/files/md5").rglob("*") if path.is_file() and path.read_bytes() == content]


def test_a_whole_workspace_is_whole(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "whole: 3 outs hashed, every table checked against its contract\n"


def test_damage_is_named_and_mended_from_the_cache(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = SHARD.read_bytes()
    SHARD.chmod(0o644)
    SHARD.write_bytes(content[:-1] + b"x")
    Path("data/images/alpha/00000.tar").unlink()
    assert main(["verify"]) == 1
    said = capsys.readouterr()
    assert f"{SHARD}" in said.out
    assert "its bytes are not those that were made" in said.out
    assert "2 faults: see the way out of each" in said.err
    assert main(["verify", "--repair"]) == 0
    assert "mended 2 of 2 faults" in capsys.readouterr().out
    assert SHARD.read_bytes() == content


@pytest.mark.slow
def test_what_the_cache_has_lost_comes_from_the_remote(workspace: Path) -> None:
    content = SHARD.read_bytes()
    for path in objects(workspace, content):
        path.unlink()
    SHARD.unlink()
    assert main(["verify", "--repair"]) == 0
    assert SHARD.read_bytes() == content
    assert len(objects(workspace, content)) == 1


def test_an_object_that_rotted_is_made_good_from_the_file(workspace: Path) -> None:
    content = SHARD.read_bytes()
    (stored,) = objects(workspace, content)
    stored.unlink()
    stored.write_bytes(b"rot")
    assert main(["verify", "--repair"]) == 0
    assert stored.read_bytes() == content


@pytest.mark.slow
def test_what_nobody_has_is_said(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = SHARD.read_bytes()
    shutil.rmtree(workspace.parent / "far")
    for path in objects(workspace, content):
        path.unlink()
    SHARD.unlink()
    assert main(["verify", "--repair"]) == 1
    said = capsys.readouterr()
    assert "data/validity/alpha can't be restored" in said.out
    assert "1 faults" in said.err


def test_a_table_against_its_contract(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table(SHARD)
    SHARD.unlink()
    pq.write_table(pa.concat_tables([table, table]), SHARD)
    dvc("commit", "--force", "ingest@alpha")
    assert main(["verify"]) == 1
    assert "keys repeat" in capsys.readouterr().out


def test_what_belongs_to_nobody(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/validity/beta").mkdir()
    assert main(["verify"]) == 1
    out = capsys.readouterr().out
    assert "data/validity/beta" in out
    assert "sluice crawl remove beta --purge" in out
