"""The deployments of prefect.yaml on a real local server, with a real worker: crawls that arrive, refusals, cancelling, kills."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from flows import server
from tasks.core.versions import list_versions
from tasks.core.worktrees import REFRESH
from tests.browser import CHROMIUM
from tests.flows.prefect_ui import look
from tests.flows.processes import processes_in, wait_for
from tests.flows.site import RUN_SECONDS, Site
from tests.flows.workspace import PARAMS, git, make_workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    found = Site(make_workspace(tmp_path_factory.mktemp("site") / "workspace"))
    try:
        found.open()
        yield found
    finally:
        found.stop()


@pytest.fixture
def reader(site):
    """Reads the published version all the time; the list has what was no whole version."""
    mixtures, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            with suppress(FileNotFoundError):
                opened = os.open(site.folder / "versions/current", os.O_RDONLY)
                facts, table = (read_at(opened, name) for name in ("version.json", "data/curated/samples.txt"))
                if sorted(json.loads(facts)["crawls"]) != sorted(
                    name for name in json.loads(facts)["crawls"] if f"ingest({name} rows" in table
                ):
                    mixtures.append((facts, table))
                os.close(opened)
            time.sleep(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    yield mixtures
    stop.set()
    thread.join()


def read_at(folder: int, name: str) -> str:
    """A file of an opened folder: what a reader does that stays in the version that it has entered."""
    with open(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
        return file.read()


def drop(site, name, text):
    """Let a manifest arrive as a whole."""
    (site.folder / "inbox").mkdir(exist_ok=True)
    (site.folder / f".{name}").write_text(text)
    (site.folder / f".{name}").rename(site.folder / "inbox" / name)


def versions(site):
    return [version.crawls for version in list_versions(site.folder)]


def test_a_second_start_finds_the_first(site):
    assert server.start(site.home) == site.url


@pytest.fixture(scope="module")
def rebuilt(site):
    """The run that made everything."""
    run = site.run("rebuild/rebuild")
    assert site.wait(run)[0] == "COMPLETED"
    return run


def test_rebuild_makes_everything(site, rebuilt):
    assert (site.folder / "data/index").read_text() == "index(validate(ingest(old rows)))"
    kinds = {found["type"]: found for found in site.artifacts(rebuilt)}
    assert float(kinds["progress"]["data"]) == 100
    assert "validate@old" in str(kinds["table"]["data"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_a_run_is_seen_in_prefects_own_pages(site, rebuilt, tmp_path):
    stages = ["ingest@old", "validate@old", "index", "catalog"]
    found = asyncio.run(look(site.url.removesuffix("/api"), rebuilt, stages, tmp_path))
    assert found == {"state": True, "graph": True, "tasks": stages, "progress": True, "table": True, "foreign": []}
    assert all(path.stat().st_size > 20_000 for path in tmp_path.iterdir())


def test_refresh_is_scheduled(site):
    said = site.prefect("deployment", "inspect", "refresh/refresh")
    assert "0 3 * * *" in said
    assert wait_for(lambda: len(site.scheduled()) > 0, 90)


def test_three_crawls_that_arrive_one_after_the_other_become_three_versions(site, reader):
    site.start_watch()
    for number, name in enumerate(("a", "b", "c"), start=1):
        drop(site, f"{name}.csv", f"{name} rows")
        assert wait_for(lambda number=number: len(versions(site)) == number, RUN_SECONDS), site.log()
    assert versions(site) == [["old", "a"], ["old", "a", "b"], ["old", "a", "b", "c"]]
    assert wait_for(lambda: len(list((site.folder / "inbox/done").iterdir())) == 3, 60)
    assert (site.folder / "versions/v0001/data/curated/samples.txt").read_text().count("rows") == 2
    assert reader == []
    assert (site.folder / "params.yaml").read_text() == PARAMS
    assert "Data and pipelines are up to date" in site.dvc("repro")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("poison", "crawl 'bad' was refused by validate@bad: validate: crawl refused: expect_table_columns: 'url' is missing"),
        ("x " * 400, "crawl 'bad' was refused by the gates in params.yaml: curate.kept grew from 8 to 408, by 5000%; 500% is allowed"),
    ],
    ids=["door", "gate"],
)
def test_poisoned_crawls_are_refused_with_the_reason(site, text, reason):
    before, n_refused = versions(site), len(list((site.folder / "inbox").glob("refused/*.txt")))
    drop(site, "bad.csv", text)
    assert wait_for(lambda: len(list((site.folder / "inbox").glob("refused/*.txt"))) > n_refused, RUN_SECONDS), site.log()
    found = max((site.folder / "inbox").glob("refused/*.txt"), key=lambda path: path.stat().st_mtime_ns)
    assert found.read_text().startswith(reason)
    assert versions(site) == before
    assert wait_for(lambda: not site.running(), 60)
    assert git(site.folder / REFRESH, "status", "--porcelain") == ""
    assert not list((site.folder / REFRESH / "data").glob("*/bad"))


def test_of_two_refreshes_started_at_once_one_waits_for_the_other(site, reader):
    before, runs = versions(site), []
    for name in ("one", "two"):
        (site.folder / f"{name}.csv").write_text(f"{name} rows")
        runs.append(site.run("refresh/refresh", name=name, manifest=f"{name}.csv"))
    assert [site.wait(run)[0] for run in runs] == ["COMPLETED", "COMPLETED"]
    after = versions(site)[len(before) :]
    assert [sorted(crawls[len(before[-1]) :]) for crawls in after] in ([["one"], ["one", "two"]], [["two"], ["one", "two"]])
    inner = " ".join(f"validate(ingest({name} rows))" for name in sorted(after[-1]))
    assert (site.folder / "versions/current/data/curated/samples.txt").read_text() == f"curate(index({inner}))"
    assert reader == []


def test_cancelled_leaves_no_process_and_the_next_run_works(site):
    (site.folder / "hang.txt").write_text("hang")
    run = site.run("refresh/refresh", name="slow", manifest="hang.txt")
    assert wait_for((site.folder / REFRESH / "hanging").exists, RUN_SECONDS), site.log()
    site.prefect("flow-run", "cancel", run)
    assert wait_for(lambda: not stages(site), 20), stages(site)
    assert site.wait(run)[0] == "CANCELLED"
    # What was cut short is finished by the next run, once the cause is gone.
    (site.folder / REFRESH / "data/crawls/slow").write_text("slow rows")
    assert site.wait(site.run("refresh/refresh"))[0] == "COMPLETED"
    assert versions(site)[-1][-1] == "slow"


def stages(site):
    return [found for found in processes_in(site.folder / REFRESH) if "stage.py" in found or "time.sleep(120)" in found or "dvc" in found]


def test_killed_at_random_moments_the_refresh_ends_with_the_same_tables(site, reader):
    """Worker, flow, stage and server are killed, twice each, at moments drawn by a fixed seed; whoever watches the site restarts them."""
    random.seed(7)
    drop(site, "z.csv", "z rows")
    wanted = [*versions(site)[-1], "z"]
    refused = set((site.folder / "inbox").glob("refused/*"))
    for who in ("stage", "flow", "worker", "server", "flow", "stage", "server", "worker"):
        site.wait_until_running()
        time.sleep(random.uniform(0.5, 6))
        site.kill(who)
        assert reader == []
        assert set((site.folder / "inbox").glob("refused/*")) == refused, "a kill is not the crawl's fault"
        site.revive()
    assert wait_for(lambda: site.finished(wanted), RUN_SECONDS), site.log()
    assert set((site.folder / "inbox").glob("refused/*")) == refused
    assert versions(site).count(wanted) == 1
    table = (site.folder / "versions/current/data/curated/samples.txt").read_text()
    inner = " ".join(f"validate(ingest({name} rows))" for name in sorted(wanted))
    assert table == f"curate(index({inner}))"
    assert reader == []
    assert wait_for(lambda: not site.running() and not stages(site), 120), stages(site)
    assert subprocess.run([sys.executable, "-m", "tasks.cli", "versions"], cwd=site.folder, check=True, capture_output=True).stdout
    assert signal.SIGKILL in site.sent
