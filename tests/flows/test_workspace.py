"""On a real server: a demo crawl becomes a version, poisoned ones are refused by the right gate, the workspace stays as it was."""

import json
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.flows.site import Site
from tests.flows.workspace import git
from tests.workspace import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
LEFT_BEHIND = shutil.ignore_patterns(".venv", ".prefect", ".sluice", "tmp", "__pycache__", ".*_cache", "inbox", "*.tmp")


class Handler(BaseHTTPRequestHandler):
    """Shows the pictures of a made crawl by their paths."""

    def __init__(self, pictures: dict[str, bytes], *words: object) -> None:
        self.pictures = pictures
        super().__init__(*words)

    def do_GET(self) -> None:
        data = self.pictures.get(self.path.partition("?")[0])
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *words: object) -> None:
        return


@pytest.fixture(scope="module")
def site(finished, tmp_path_factory):
    """A copy of the toy workspace as `dvc repro` left it, with a server and a worker of its own."""
    folder = tmp_path_factory.mktemp("real") / "workspace"
    shutil.copytree(finished, folder, ignore=LEFT_BEHIND)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Built")
    found = Site(folder)
    try:
        found.open()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A new crawl's manifest, and the address of the server that shows its pictures."""
    from tasks.methods.demo_web import make_crawl

    made = make_crawl(name="demo-3", seed=3, n_rows=300, n_leaks=0, clean_seed=7)
    manifest = tmp_path_factory.mktemp("web") / "demo-3.parquet"
    pq.write_table(made.manifest, manifest)
    paths, pictures = (made.web[name].to_pylist() for name in ("path", "bytes"))
    shown = {f"/{path.lstrip('/')}": data for path, data in zip(paths, pictures, strict=True)}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, shown)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield manifest, f"demo.test=127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def stamps(folder: Path) -> dict[str, int]:
    """When each file of the old crawls was last written."""
    kinds = ("records", "validity", "embeddings", "images")
    found = [path for kind in kinds for path in (folder / "data" / kind).glob("demo-[12]/*") if path.is_file()]
    return {str(path): path.stat().st_mtime_ns for path in found}


def rows(folder: Path, crawl: str) -> int:
    """Rows of the crawl in the published catalog."""
    question = f"SELECT count(*) AS n FROM samples WHERE crawl = '{crawl}'"
    command = [sys.executable, "-m", "tasks.cli", "--workspace", "versions/current", "query", question, "--format", "json"]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]["n"]


def test_a_poisoned_crawl_is_refused_and_the_next_good_one_taken_in(site, web, tmp_path):
    manifest, address = web
    before, params = stamps(site.folder), (site.folder / "params.yaml").read_bytes()
    assert len(before) > 6
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("picture,words\n1,2\n")
    kind, message = site.wait(site.run("refresh/refresh", name="demo-3", manifest=str(wrong)))
    assert kind == "FAILED"
    assert "crawl 'demo-3' was refused" in message
    assert "url" in message

    dead = tmp_path / "dead.csv"
    dead.write_text("url,alt_text\n" + "".join(f"http://demo.test/gone/{number}.jpg,a text\n" for number in range(40)))
    kind, message = site.wait(site.run("refresh/refresh", name="demo-3", manifest=str(dead), options=["--connect", address]))
    assert kind == "FAILED"
    assert "crawl 'demo-3' was refused by validate@demo-3: " in message
    assert (site.folder / "params.yaml").read_bytes() == params
    assert not list((site.folder / "data").glob("*/demo-3"))

    same = tmp_path / "same.csv"  # 60 % of the addresses show one picture
    paths = pq.read_table(manifest)["url"].to_pylist()
    one = [f"{paths[0]}?{number}" for number in range(60)]
    same.write_text("url,alt_text\n" + "".join(f"{url},text {number}\n" for number, url in enumerate([*one, *paths[1:41]])))
    kind, message = site.wait(site.run("refresh/refresh", name="demo-3", manifest=str(same), options=["--connect", address]))
    assert kind == "FAILED"
    assert "crawl 'demo-3' was refused by validate@demo-3: " in message
    assert "duplicate" in message
    assert not (site.folder / "versions").exists()

    options = ["--connect", address]
    kind, message = site.wait(site.run("refresh/refresh", name="demo-3", manifest=str(manifest), options=options))
    assert kind == "COMPLETED", message
    assert 250 < rows(site.folder, "demo-3") <= 300
    assert stamps(site.folder) == before
    assert (site.folder / "params.yaml").read_bytes() == params
    assert (site.folder / "versions/current/reports/index.html").stat().st_size > 10_000
    assert (site.folder / "versions/current/version.json").exists()


def test_a_crawl_of_other_concepts_is_refused_by_the_gate_of_drift(site, web, tmp_path):
    manifest, address = web
    published = (site.folder / "versions/current").resolve()
    shifted = tmp_path / "shifted.parquet"  # every picture is filed under one concept
    table = pq.read_table(manifest)
    one_word = pa.array(["moon"] * table.num_rows)
    pq.write_table(table.set_column(table.schema.get_field_index("concept"), "concept", one_word), shifted)
    kind, message = site.wait(site.run("refresh/refresh", name="shifted", manifest=str(shifted), options=["--connect", address]))
    assert kind == "FAILED"
    assert "crawl 'shifted' was refused by the gates in params.yaml: drift.shifted.concepts is " in message
    assert "how far the concepts that the new crawl was searched by differ from those before" in message
    assert (site.folder / "versions/current").resolve() == published
    assert rows(site.folder, "shifted") == 0


def test_rebuild_of_what_is_whole_does_nothing(site):
    before = stamps(site.folder)
    assert site.wait(site.run("rebuild/rebuild"))[0] == "COMPLETED"
    assert stamps(site.folder) == before
