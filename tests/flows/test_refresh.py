"""New crawls get in or leave no trace; a run that was cut short is finished by the next."""

import json
import logging
import sys
from pathlib import Path

import pytest
import yaml

from flows import refresh as module
from flows.inbox import Arrival, unfinished
from flows.lock import WorkspaceBusy, workspace_lock
from flows.refresh import CrawlRefused, refresh
from flows.stages import read_graph, run_command, run_stage
from tests.flows.workspace import make_workspace

PARAMS = "# the crawls\ncrawls: [old]\n"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A tiny workspace as current folder, Prefect left out."""
    folder = make_workspace(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
    return folder


@pytest.fixture
def ran(workspace, monkeypatch):
    """The list of the stages that were run: their commands themselves, without the second that DVC takes for each."""
    addresses = []

    def run_stages(wanted):
        for address in wanted:
            addresses.append(address)
            run_command([sys.executable, *command_of(address, workspace)], lambda line: None)

    monkeypatch.setattr(module, "run_stages", run_stages)
    monkeypatch.setattr(module, "changed_stages", lambda: set(read_graph().order) - set(addresses))
    return addresses


def command_of(address: str, folder: Path) -> list[str]:
    stage, _, crawl = address.partition("@")
    entry = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]
    return entry.get("do", entry)["cmd"].replace("${item}", crawl).split()[2:]


@pytest.fixture
def drop(tmp_path):
    def drop(name: str, text: str):
        path = tmp_path / "workspace" / "inbox" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return drop


def read(tmp_path, name: str) -> str:
    return (tmp_path / "workspace" / name).read_text()


@pytest.mark.slow
def test_with_dvc_a_new_crawl_runs_its_own_stages_then_what_needs_them(workspace, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(module, "run_stages", lambda wanted: [(ran.append(one), run_stage(one, lambda line: None)) for one in wanted])
    (tmp_path / "new.csv").write_text("new rows")
    refresh.fn(name="new", manifest=str(tmp_path / "new.csv"))
    assert ran[:2] == ["ingest@new", "validate@new"]
    assert set(ran[2:]) == {"ingest@old", "validate@old", "prepare", "index"}  # never built before: built now
    assert read(tmp_path, "data/index") == "index(validate(ingest(new rows)) validate(ingest(old rows)))"
    ran.clear()
    (tmp_path / "next.csv").write_text("next rows")
    refresh.fn(name="next", manifest=str(tmp_path / "next.csv"))
    assert ran == ["ingest@next", "validate@next", "index"]  # what nothing changed for is not even asked
    assert unfinished() == []


def test_own_stages_come_first_and_the_unchanged_are_left_out(ran, tmp_path):
    ran += ["ingest@old", "validate@old", "prepare"]
    (tmp_path / "new.csv").write_text("new rows")
    refresh.fn(name="new", manifest=str(tmp_path / "new.csv"))
    assert ran[3:] == ["ingest@new", "validate@new", "index"]


def test_a_poisoned_crawl_leaves_no_trace_and_the_next_good_one_works(ran, tmp_path):
    (tmp_path / "bad.csv").write_text("poison")
    with pytest.raises(CrawlRefused) as caught:
        refresh.fn(name="bad", manifest=str(tmp_path / "bad.csv"))
    assert str(caught.value) == ("crawl 'bad' was refused by validate@bad: validate: crawl refused: expect_table_columns: 'url' is missing")
    assert read(tmp_path, "params.yaml") == PARAMS
    assert not list((tmp_path / "workspace/data").glob("*/bad"))
    assert "index" not in ran
    (tmp_path / "good.csv").write_text("good rows")
    refresh.fn(name="bad", manifest=str(tmp_path / "good.csv"))
    assert "good rows" in read(tmp_path, "data/index")


def test_a_manifest_that_cannot_be_added_is_refused_with_the_reason(ran, tmp_path):
    (tmp_path / "bad.csv").write_text("no columns")
    with pytest.raises(CrawlRefused, match="crawl 'bad' was refused: the manifest has no column 'url'"):
        refresh.fn(name="bad", manifest=str(tmp_path / "bad.csv"))
    assert ran == []
    assert read(tmp_path, "params.yaml") == PARAMS
    assert unfinished() == []


def test_an_empty_or_missing_inbox_does_nothing(ran, tmp_path):
    refresh.fn()
    (tmp_path / "workspace/inbox").mkdir()
    refresh.fn()
    assert ran == []


def test_the_inbox_is_emptied_in_order_and_the_refused_say_why(ran, drop, tmp_path):
    drop("b.csv", "b rows")
    drop("a.csv.gz", "a rows")
    drop("notes.md", "not a manifest")
    drop("Bad Name.csv", "rows")
    drop("old.csv", "other rows")
    drop("c.jsonl", "poison")
    with pytest.raises(CrawlRefused) as caught:
        refresh.fn()
    assert [address for address in ran if address.startswith("ingest")][:2] == ["ingest@a", "ingest@b"]
    assert ran.count("index") == 1
    assert "crawls: [old, a, b]" in read(tmp_path, "params.yaml")
    inbox = tmp_path / "workspace/inbox"
    assert sorted(path.name for path in (inbox / "done").iterdir()) == ["a.csv.gz", "b.csv"]
    refused = sorted(path.name for path in (inbox / "refused").iterdir())
    assert refused == [
        *("Bad Name.csv", "Bad Name.csv.reason.txt", "c.jsonl", "c.jsonl.reason.txt", "old.csv", "old.csv.reason.txt"),
    ]
    assert "'url' is missing" in (inbox / "refused/c.jsonl.reason.txt").read_text()
    assert "a crawl of this name is there already" in (inbox / "refused/old.csv.reason.txt").read_text()
    assert "crawl name 'Bad Name' is not allowed" in (inbox / "refused/Bad Name.csv.reason.txt").read_text()
    assert str(caught.value).count("was refused") == 3
    assert sorted(path.name for path in inbox.glob("*.*")) == ["notes.md"]


def test_a_run_cut_short_is_finished_by_the_next(ran, drop, tmp_path, monkeypatch):
    drop("new.csv", "new rows")
    whole = module.run_stages

    def cut(addresses):
        whole(addresses)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_stages", cut)
    with pytest.raises(KeyboardInterrupt):
        refresh.fn()
    assert [arrival.name for arrival in unfinished()] == ["new"]
    assert "new" in read(tmp_path, "params.yaml")
    monkeypatch.setattr(module, "run_stages", whole)
    refresh.fn()
    assert "new rows" in read(tmp_path, "data/index")
    assert (tmp_path / "workspace/inbox/done/new.csv").exists()
    assert unfinished() == []


def test_failing_global_stages_are_tried_again(ran, drop, tmp_path):
    drop("new.csv", "new rows")
    clean = tmp_path / "workspace/clean.txt"
    clean.write_text("poison")
    with pytest.raises(module.StageFailed):
        refresh.fn()
    assert "new" in read(tmp_path, "params.yaml")  # not the crawl's fault
    clean.write_text("clean")
    ran.remove("prepare")
    refresh.fn()
    assert "new rows" in read(tmp_path, "data/index")


def test_half_an_address_is_refused(ran):
    with pytest.raises(CrawlRefused, match="give both a name and a manifest, or neither"):
        refresh.fn(name="new")


def test_a_busy_workspace_is_not_touched(ran, drop):
    drop("new.csv", "rows")
    with workspace_lock("rebuild"), pytest.raises(WorkspaceBusy, match="in use by rebuild"):
        refresh.fn()
    assert ran == []


def test_what_others_changed_in_params_is_kept(ran, tmp_path):
    params = tmp_path / "workspace/params.yaml"
    params.write_text("crawls: [old, new]\nedited: 1\n")
    arrival = Arrival("new", "new.csv", params=PARAMS)
    arrival.write()
    module.undo(arrival)
    assert "old" in params.read_text()
    assert json.loads(json.dumps(unfinished())) == []
