"""Many crawls get in by one door and give one version; a refused one takes no other with it; a killed run goes on behind what is in."""

import logging
from pathlib import Path

import pytest

from flows import backfill as module
from flows import refresh as door
from flows.backfill import backfill
from flows.refresh import CrawlRefused, refresh
from flows.stages import StageCut, StageFailed
from tasks.core.versions import list_versions
from tests.flows import test_refresh
from tests.flows.workspace import git

workspace, site, ran, drop = test_refresh.workspace, test_refresh.site, test_refresh.ran, test_refresh.drop


@pytest.fixture(autouse=True)
def without_prefect(ran, monkeypatch):
    """Prefect left out of backfill as it is of refresh."""
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
    monkeypatch.setattr(module, "run_stages", door.run_stages)


def crawls_of(workspace: Path) -> list[list[str]]:
    return [version.crawls for version in list_versions(workspace)]


def test_all_give_one_version_and_the_stages_over_all_run_once(ran, drop, workspace):
    for name in "abc":
        drop(f"{name}.csv", f"{name} rows")
    backfill.fn(folder="inbox")
    assert crawls_of(workspace) == [["old", "a", "b", "c"]]
    assert [ran.count(stage) for stage in ("ingest@a", "ingest@b", "ingest@c", "index", "curate")] == [1, 1, 1, 1, 1]
    assert sorted(path.name for path in (workspace / "inbox/done").iterdir()) == ["a.csv", "b.csv", "c.csv"]
    ran.clear()
    backfill.fn(folder="inbox")
    assert ran == []


def test_a_list_keeps_its_order(ran, workspace, tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(f"{name} rows")
    backfill.fn(crawls={"b": str(tmp_path / "b"), "a": str(tmp_path / "a")})
    assert crawls_of(workspace) == [["old", "b", "a"]]


def test_a_refused_crawl_takes_no_other_with_it(ran, drop, workspace, site):
    drop("a.csv", "a rows")
    drop("b.csv", "poison")
    drop("c.csv", "c rows")
    drop("old.csv", "other rows")
    with pytest.raises(CrawlRefused) as caught:
        backfill.fn(folder="inbox")
    assert str(caught.value).count("was refused") == 2
    assert "crawl 'b' was refused by validate@b" in (workspace / "inbox/refused/b.csv.reason.txt").read_text()
    assert "is there already" in (workspace / "inbox/refused/old.csv.reason.txt").read_text()
    assert crawls_of(workspace) == [["old", "a", "c"]]
    assert (site / "data/records/old").exists()
    assert not (site / "data/records/b").exists()
    assert git(site, "status", "--porcelain") == ""


def test_a_killed_run_goes_on_behind_what_is_in(ran, drop, workspace, monkeypatch):
    for name in "abc":
        drop(f"{name}.csv", f"{name} rows")
    whole = door.make_own

    def killed_at_c(arrival, timeout_minutes):
        if arrival.name == "c":
            raise KeyboardInterrupt
        whole(arrival, timeout_minutes)

    with monkeypatch.context() as patched:
        patched.setattr(module, "make_own", killed_at_c)
        with pytest.raises(KeyboardInterrupt):
            backfill.fn(folder="inbox")
    assert crawls_of(workspace) == []
    backfill.fn(folder="inbox")
    assert crawls_of(workspace) == [["old", "a", "b", "c"]]
    assert sorted(path.name for path in (workspace / "inbox/done").iterdir()) == ["a.csv", "b.csv", "c.csv"]


@pytest.mark.parametrize("cut", ["commit_all", "publish", "move_out"])
def test_a_run_killed_near_its_end_is_ended_by_the_next(ran, drop, workspace, monkeypatch, cut):
    drop("a.csv", "a rows")
    drop("b.csv", "b rows")
    whole = getattr(module, cut)

    def interrupted(*words):
        whole(*words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, cut, interrupted)
        with pytest.raises(KeyboardInterrupt):
            backfill.fn(folder="inbox")
    backfill.fn(folder="inbox")
    assert crawls_of(workspace) == [["old", "a", "b"]]
    assert sorted(path.name for path in (workspace / "inbox/done").iterdir()) == ["a.csv", "b.csv"]


def test_what_the_gates_refuse_is_taken_back_as_a_whole(ran, drop, workspace, site):
    drop("good.csv", "good rows")
    refresh.fn()
    drop("a.csv", "a rows")
    drop("b.csv", "x " * 40)
    with pytest.raises(CrawlRefused, match=r"2 crawls \(a, b\) were refused by the gates in params.yaml: curate.kept grew"):
        backfill.fn(folder="inbox")
    assert crawls_of(workspace) == [["old", "good"]]
    assert git(site, "rev-parse", "HEAD") == git(workspace, "rev-parse", "published")
    assert sorted(path.name for path in (workspace / "inbox/refused").glob("*.csv")) == ["a.csv", "b.csv"]


def test_a_crawl_whose_stage_always_crashes_does_not_hold_the_others_up_for_ever(ran, drop, workspace, monkeypatch):
    drop("a.csv", "a rows")
    drop("b.csv", "b rows")
    test_refresh.fail_at(monkeypatch, "validate@a", StageCut("ended with 255: exited with -9"))
    for _ in range(door.MAX_FAILURES - 1):
        with pytest.raises(StageCut):
            backfill.fn(folder="inbox")
    with pytest.raises(CrawlRefused, match="crawl 'a' was refused: with it the dataset could not be made, 3 times: ended with 255"):
        backfill.fn(folder="inbox")
    assert crawls_of(workspace) == [["old", "b"]]


def test_a_stage_over_all_that_fails_is_tried_again(ran, drop, workspace, monkeypatch):
    drop("a.csv", "a rows")
    with monkeypatch.context() as patched:
        patched.setattr(module, "run_stages", lambda *words: (_ for _ in ()).throw(StageFailed("index: no space")))
        with pytest.raises(StageFailed, match="no space"):
            backfill.fn(folder="inbox")
    assert (workspace / "inbox/a.csv").exists()
    backfill.fn(folder="inbox")
    assert crawls_of(workspace) == [["old", "a"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "give either a folder of manifests, or crawls"),
        ({"folder": "inbox", "crawls": {}}, "give either a folder"),
        ({"folder": "nowhere"}, "is no folder"),
        ({"crawls": {"../x": "x.csv"}}, "crawl name '../x' is not allowed"),
    ],
)
def test_messages(words, message):
    with pytest.raises(CrawlRefused, match=message):
        backfill.fn(**words)
