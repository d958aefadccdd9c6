"""The deployments of prefect.yaml on a real local server, with a real worker: taken in, refused, cancelled."""

import time

import pytest

from flows import server
from tests.flows.processes import processes_in, wait_for
from tests.flows.site import RUN_SECONDS, Site
from tests.flows.workspace import make_workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    found = Site(make_workspace(tmp_path_factory.mktemp("site") / "workspace"))
    try:
        found.open()
        yield found
    finally:
        found.stop()


def test_a_second_start_finds_the_first(site):
    assert server.start(site.home) == site.url


def test_rebuild_makes_everything(site):
    assert site.wait(site.run("rebuild/rebuild"))[0] == "COMPLETED"
    assert (site.folder / "data/index").read_text() == "index(validate(ingest(old rows)))"


def test_refresh_is_scheduled(site):
    said = site.prefect("deployment", "inspect", "refresh/refresh")
    assert "0 3 * * *" in said
    assert wait_for(lambda: len(site.scheduled()) > 0, 90)


def test_refused_then_taken_in(site):
    (site.folder / "bad.csv").write_text("poison")
    kind, message = site.wait(site.run("refresh/refresh", name="next", manifest="bad.csv"))
    assert kind == "FAILED"
    assert "crawl 'next' was refused by validate@next: validate: crawl refused: expect_table_columns: 'url' is missing" in message
    assert (site.folder / "params.yaml").read_text() == "# the crawls\ncrawls: [old]\n"
    before = (site.folder / "data/records/old").stat().st_mtime_ns
    inbox = site.folder / "inbox"
    inbox.mkdir()
    (inbox / "next.csv").write_text("next rows")
    assert site.wait(site.run("refresh/refresh"))[0] == "COMPLETED"
    assert "next rows" in (site.folder / "data/index").read_text()
    assert (site.folder / "data/records/old").stat().st_mtime_ns == before
    assert (inbox / "done/next.csv").exists()


def test_cancelled_leaves_no_process_and_the_next_run_works(site):
    (site.folder / "hang.csv").write_text("hang")
    run = site.run("refresh/refresh", name="slow", manifest="hang.csv")
    assert wait_for((site.folder / "hanging").exists, RUN_SECONDS)
    site.prefect("flow-run", "cancel", run)
    began = time.monotonic()
    ended = wait_for(lambda: not [found for found in processes_in(site.folder) if "stage.py" in found or "time.sleep(120)" in found], 10)
    assert ended, f"after {time.monotonic() - began:.0f} s: {processes_in(site.folder)}"
    assert site.wait(run)[0] == "CANCELLED"
    # What was cut short is finished by the next run, once the cause is gone.
    (site.folder / "data/crawls/slow").write_text("slow rows")
    assert site.wait(site.run("refresh/refresh"))[0] == "COMPLETED"
    assert "slow rows" in (site.folder / "data/index").read_text()
