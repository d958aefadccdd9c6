"""New crawls get in or leave no trace; a run that was cut short is finished by the next; the workspace is never touched."""

import logging
import shutil
import sys
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from flows import refresh as module
from flows.inbox import Arrival, unfinished
from flows.lock import WorkspaceBusy, workspace_lock
from flows.refresh import CrawlRefused, refresh
from flows.stages import StageCut, StageFailed, read_graph
from tasks.core import publishing, worktrees
from tasks.core.versions import current_tag, list_versions
from tests.flows.workspace import PARAMS, STAGE, git, make_workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A tiny workspace as current folder, Prefect left out."""
    folder = make_workspace(tmp_path / "workspace")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
    return folder


@pytest.fixture
def site(workspace):
    """Where refresh works."""
    return workspace / worktrees.REFRESH


def fail_at(monkeypatch: pytest.MonkeyPatch, stage: str, error: Exception) -> None:
    """Let the stages be made as ever, but where this one is among those asked for."""
    whole = module.run_stages

    def failing(wanted, timeout_minutes=None):
        if stage in wanted:
            raise error
        whole(wanted)

    monkeypatch.setattr(module, "run_stages", failing)


@pytest.fixture
def ran(workspace, monkeypatch):
    """The list of the stages that were run: their code itself, in this process, without the second that every call of DVC takes."""
    addresses = []
    code = compile(STAGE.replace("die_with_parent()", ""), "stage.py", "exec")

    def run_stages(wanted, timeout_minutes=None):
        for address in wanted:
            addresses.append(address)
            monkeypatch.setattr(sys, "argv", command_of(address))
            try:
                exec(code, {})
            except SystemExit as error:
                raise StageFailed(str(error).removeprefix("error: ")) from None

    def make_folder(place, version, cache, folder):
        shutil.copytree(folder / "data/curated", place / version.tag)

    monkeypatch.setattr(module, "run_stages", run_stages)
    monkeypatch.setattr(module, "changed_stages", lambda: set(read_graph().order) - set(addresses))
    monkeypatch.setattr(worktrees, "dvc", lambda folder, *words: ".dvc/cache")
    monkeypatch.setattr(publishing, "push", lambda folder: None)
    monkeypatch.setattr(publishing, "cache_of", lambda folder: folder)
    monkeypatch.setattr(publishing, "make_folder", make_folder)
    return addresses


def command_of(address: str) -> list[str]:
    stage, _, crawl = address.partition("@")
    entry = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
    return entry.get("do", entry)["cmd"].replace("${item}", crawl).split()[2:]


@pytest.fixture
def drop(workspace):
    def drop(name: str, text: str):
        path = workspace / "inbox" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return drop


def published(workspace: Path) -> str:
    return (workspace / "versions/current/samples.txt").read_text()


def tags(workspace: Path) -> list[str]:
    return [version.tag for version in list_versions(workspace)]


def test_a_crawl_becomes_a_version_and_the_workspace_is_not_touched(ran, workspace, tmp_path):
    (tmp_path / "new.txt").write_text("new rows")
    refresh.fn(name="new", manifest=str(tmp_path / "new.txt"))
    assert ran[:2] == ["ingest@new", "validate@new"]
    assert set(ran[2:]) == {"ingest@old", "validate@old", "prepare", "index", "curate", "catalog"}  # never built before: built now
    assert published(workspace) == "curate(index(validate(ingest(new rows)) validate(ingest(old rows))))"
    [version] = list_versions(workspace)
    assert (version.tag, version.crawls, version.kept) == ("v0001", ["old", "new"], 4)
    assert (workspace / "params.yaml").read_text() == PARAMS
    assert git(workspace, "status", "--porcelain") == ""
    assert not (workspace / "data/index").exists()
    assert "new" in git(workspace, "show", "published:params.yaml")
    git(workspace, "merge", "-q", "published")  # this is how a workspace is brought up to date
    assert (workspace / "data/crawls/new").read_text() == "new rows"


def test_the_unchanged_is_left_out(ran, drop, workspace):
    drop("a.csv", "a rows")
    refresh.fn()
    ran.clear()
    ran += ["ingest@old", "validate@old", "ingest@a", "validate@a", "prepare"]
    drop("b.csv", "b rows")
    refresh.fn()
    assert ran[5:] == ["ingest@b", "validate@b", "index", "curate", "catalog"]
    assert tags(workspace) == ["v0001", "v0002"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no columns", "crawl 'bad' was refused: the manifest has no column 'url'"),
        ("poison", "crawl 'bad' was refused by validate@bad: validate: crawl refused: expect_table_columns: 'url' is missing"),
        (
            "x " * 40,
            "crawl 'bad' was refused by the gates in params.yaml: curate.kept grew from 4 to 44, by 1000%; 500% is allowed (rows kept)",
        ),
    ],
    ids=["door", "own stage", "gate"],
)
def test_a_poisoned_crawl_leaves_its_manifest_with_the_reason_and_no_other_trace(ran, drop, workspace, site, text, reason):
    drop("good.csv", "good rows")
    refresh.fn()
    before = git(workspace, "rev-parse", "published")
    drop("bad.csv", text)
    with pytest.raises(CrawlRefused) as caught:
        refresh.fn()
    assert str(caught.value).startswith(reason)
    assert (workspace / "inbox/refused/bad.csv.reason.txt").read_text().startswith(reason)
    assert (workspace / "inbox/refused/bad.csv").read_text() == text
    assert git(workspace, "rev-parse", "published") == before == git(site, "rev-parse", "HEAD")
    assert git(site, "status", "--porcelain") == ""
    assert not list((site / "data").glob("*/bad"))
    assert current_tag(workspace / "versions") == "v0001"
    with chdir(site):
        assert unfinished() == []
    drop("bad.csv", "other rows")  # the name is free again
    refresh.fn()
    assert tags(workspace) == ["v0001", "v0002"]


def test_an_empty_or_missing_inbox_does_nothing(ran, workspace):
    refresh.fn()
    (workspace / "inbox").mkdir()
    refresh.fn()
    assert ran == []
    assert not (workspace / ".sluice/worktrees/refresh").exists()


def test_every_manifest_gives_a_version_in_order_and_the_refused_say_why(ran, drop, workspace):
    drop("b.csv", "b rows")
    drop("a.csv.gz", "a rows")
    drop("notes.md", "not a manifest")
    drop("Bad Name.csv", "rows")
    drop("old.csv", "other rows")
    drop("c.jsonl", "poison")
    with pytest.raises(CrawlRefused) as caught:
        refresh.fn()
    assert [version.crawls for version in list_versions(workspace)] == [["old", "a"], ["old", "a", "b"]]
    inbox = workspace / "inbox"
    assert sorted(path.name for path in (inbox / "done").iterdir()) == ["a.csv.gz", "b.csv"]
    refused = sorted(path.name for path in (inbox / "refused").iterdir())
    assert refused == [
        *("Bad Name.csv", "Bad Name.csv.reason.txt", "c.jsonl", "c.jsonl.reason.txt", "old.csv", "old.csv.reason.txt"),
    ]
    assert "a crawl of this name is there already" in (inbox / "refused/old.csv.reason.txt").read_text()
    assert "crawl name 'Bad Name' is not allowed" in (inbox / "refused/Bad Name.csv.reason.txt").read_text()
    assert str(caught.value).count("was refused") == 3
    assert sorted(path.name for path in inbox.glob("*.*")) == ["notes.md"]
    assert "old rows" in published(workspace)


@pytest.mark.parametrize("cut", ["run_stages", "commit_all", "publish", "move_out"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_cut_short_is_finished_by_the_next(ran, drop, workspace, monkeypatch, cut, after):
    drop("new.csv", "new rows")
    whole = getattr(module, cut)

    def interrupted(*words):
        if after:
            whole(*words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, cut, interrupted)
        with pytest.raises(KeyboardInterrupt):
            refresh.fn()
    refresh.fn()
    assert published(workspace) == "curate(index(validate(ingest(new rows)) validate(ingest(old rows))))"
    assert tags(workspace) == ["v0001"]
    assert [path.name for path in (workspace / "inbox").rglob("*.csv")] == ["new.csv"]
    assert (workspace / "inbox/done/new.csv").exists()
    refresh.fn()
    assert tags(workspace) == ["v0001"]


def test_a_hand_published_version_in_between_is_built_upon(ran, drop, workspace, site, monkeypatch):
    drop("a.csv", "a rows")
    refresh.fn()
    drop("b.csv", "b rows")
    with monkeypatch.context() as patched:
        patched.setattr(module, "commit_all", lambda *words: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            refresh.fn()
    git(workspace, "merge", "-q", "published")
    git(workspace, "commit", "-q", "--allow-empty", "-m", "By hand")
    shutil.copytree(site / "data/curated", workspace / "data/curated", ignore=shutil.ignore_patterns(".gitignore"))
    by_hand = publishing.publish(workspace)
    assert by_hand.crawls == ["old", "a"]
    refresh.fn()
    assert [version.crawls for version in list_versions(workspace)][1:] == [["old", "a"], ["old", "a", "b"]]


def test_failing_global_stages_are_tried_again_and_refused_in_the_end(ran, drop, workspace, site, monkeypatch):
    drop("new.csv", "new rows")
    fail_at(monkeypatch, "index", StageFailed("index: no space"))
    for _ in range(2):
        with pytest.raises(StageFailed, match="no space"):
            refresh.fn()
    assert (workspace / "inbox/new.csv").exists()  # not the crawl's fault, as far as one can tell
    assert ran.count("ingest@new") <= 2
    with pytest.raises(CrawlRefused, match="crawl 'new' was refused: with it the dataset could not be made, 3 times: index: no space"):
        refresh.fn()
    assert (workspace / "inbox/refused/new.csv").exists()
    assert not (site / "data/records/new").exists()


def test_a_crawl_whose_stage_was_killed_is_not_refused_for_that(ran, drop, workspace, monkeypatch):
    drop("new.csv", "new rows")
    with monkeypatch.context() as patched:
        patched.setattr(module, "run_stages", lambda *words: (_ for _ in ()).throw(StageCut("ended with 255: exited with -9")))
        with pytest.raises(StageCut):
            refresh.fn()
    assert not (workspace / "inbox/refused").exists()
    refresh.fn()
    assert list_versions(workspace)[-1].crawls == ["old", "new"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": "new"}, "give both a name and a manifest, or neither"),
        ({"name": "../forget", "manifest": "x.csv"}, "crawl name '../forget' is not allowed"),
    ],
)
def test_half_an_address_or_a_hostile_name_is_refused(ran, words, message):
    with pytest.raises(CrawlRefused, match=message):
        refresh.fn(**words)


def test_two_at_once_the_second_is_refused_clearly(ran, drop, workspace):
    drop("new.csv", "rows")
    with workspace_lock("refresh", path=workspace / worktrees.REFRESH_LOCK), pytest.raises(WorkspaceBusy, match="in use by refresh"):
        refresh.fn()
    assert ran == []


def test_a_run_in_the_workspace_does_not_keep_it(ran, drop, workspace):
    drop("new.csv", "new rows")
    with workspace_lock("rebuild"):
        refresh.fn()
    assert tags(workspace) == ["v0001"]


def test_an_arrival_comes_back_as_it_was_noted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrival = Arrival("new", "/somewhere/new.csv", ("--limit", "10"), inbox="/somewhere", failures=2)
    arrival.write()
    assert unfinished() == [arrival]
    arrival.forget()
    assert unfinished() == []
