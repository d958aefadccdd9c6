"""A worktree has the workspace's cache: its data is there without a fetch, and what is made there stays there."""

import pytest

from tasks.core.errors import VersionError
from tasks.core.git import head
from tasks.core.worktrees import add_worktree, checkout, dvc, is_ready, remote_of
from tests.tasks.repository import build, make_repository


@pytest.fixture
def main(tmp_path):
    return make_repository(tmp_path / "workspace")


def test_a_worktree_gets_data_credentials_and_lineage(main):
    (main / ".dvc/config.local").write_text("[core]\n    remote = far\n['remote \"far\"']\n    url = /nowhere\n")
    (main / ".sluice/runs").mkdir(parents=True)
    (main / ".sluice/runs/one.json").write_text("{}")
    folder, first = main / ".sluice/worktrees/x", head(main)
    build(main, crawls=["one"], kept=11)
    assert not is_ready(folder)
    add_worktree(folder, first, main)
    assert is_ready(folder)
    assert remote_of(folder) == "far"
    assert (folder / ".sluice/runs/one.json").exists()
    checkout(folder, first)
    assert (folder / "data/curated/samples/crawl=one/part.parquet").read_text() == "one 10 "
    assert (folder / "data/catalog/sluice.duckdb").stat().st_nlink == 2
    (folder / "data/catalog/sluice.duckdb").unlink()
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "left").write_text("by a kill")
    checkout(folder, head(main))
    assert (folder / "data/catalog/sluice.duckdb").read_text() == "catalog of 11"
    assert not (folder / "left").exists()
    assert "curate" in (folder / "dvc.yaml").read_text()
    assert not (main / "data/curated").exists()


def test_dvcs_own_message_is_the_error(main):
    with pytest.raises(VersionError, match=r"`dvc repro none` failed in .*: ERROR: .*none"):
        dvc(main, "repro", "none")
