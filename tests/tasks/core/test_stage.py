import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tasks.core.errors import ParamsError, WiringError
from tasks.core.graph import read_graph
from tasks.core.params import Params, SharedParams
from tasks.core.settings import Settings
from tasks.core.shards import SerialPool, ShardPool
from tasks.core.stage import bind, check_wiring, expected_params, importable, run
from tasks.core.tables import Artifact, Sink, Source

GRAPH = """
stages:
  ingest: {foreach: "${crawls}", do: {cmd: "python -m tasks.ingest ${item}", outs: ["data/records/${item}"]}}
  toy:
    cmd: python -m tasks.toy
    deps: [data/records, tasks/toy.py]
    params: [toy, crawls, sealed]
    outs: [data/validity]
    metrics: [{reports/metrics/toy.json: {cache: false}}]
  one:
    foreach: ${crawls}
    do:
      cmd: python -m tasks.one ${item}
      deps: ["data/records/${item}", "${clean}"]
      params: [one, shared]
      outs: ["data/boxes/${item}"]
"""
VALUES = {"crawls": ["a", "b"], "toy": {"n": 3}, "one": {"n": 4}, "shared": {"seed": 1}, "clean": "data/clean"}


class ToyParams(Params):
    n: int


def toy(records: Source, validity: Sink, params: ToyParams, pool: ShardPool) -> dict:
    return {"n": params.n, "shards": len(records.shards())}


def one(records: Source, clean: Artifact, boxes: Artifact, crawl: str, params: ToyParams, shared: SharedParams) -> dict:
    return {"crawl": crawl}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "params.yaml").write_text(json.dumps(VALUES))
    return tmp_path


def test_arguments_are_bound_by_name():
    bound = bind(toy, read_graph()["toy"], VALUES, {}, Settings(pool="serial"))
    assert bound["records"].root.as_posix() == "data/records"
    assert bound["records"].crawls == ["a", "b"]
    assert bound["records"].per_crawl
    assert not bound["validity"].per_crawl
    assert isinstance(bound["pool"], SerialPool)
    assert bound["params"].n == 3


def test_items_bind_a_crawl_and_its_tables():
    bound = bind(one, read_graph()["one"], VALUES, {"item": "b"}, Settings())
    assert bound["crawl"] == "b"
    assert bound["records"].bound_crawl == "b"
    assert bound["records"].root.as_posix() == "data/records/b"
    assert bound["clean"].path.as_posix() == "data/clean"
    assert bound["boxes"].path.as_posix() == "data/boxes/b"


def test_run_writes_metrics_and_lineage(workspace):
    run(toy, "toy", [])
    assert json.loads((workspace / "reports/metrics/toy.json").read_text()) == {"n": 3, "shards": 0}
    (record,) = (json.loads(path.read_text()) for path in (workspace / ".sluice/runs").iterdir())
    assert (record["stage"], record["status"], record["metrics"]) == ("toy", "completed", {"n": 3, "shards": 0})


def test_a_stage_that_runs_as_main_is_taken_from_its_own_module(monkeypatch):
    import tasks.embed

    def embed():
        raise AssertionError

    assert importable(embed) is embed
    embed.__module__ = "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="tasks.embed"))
    assert importable(embed) is tasks.embed.embed


def test_a_table_that_dvc_does_not_list():
    def wrong(validity: Source, params: ToyParams) -> dict: ...

    with pytest.raises(WiringError, match="stage 'toy' takes 'validity' as Source, but dvc.yaml has nothing of that name under deps"):
        check_wiring(wrong, read_graph()["toy"])


def test_a_dep_that_the_function_does_not_take():
    def wrong(validity: Sink, params: ToyParams) -> dict: ...

    with pytest.raises(WiringError, match="dvc.yaml lists records, but the function takes no such argument"):
        check_wiring(wrong, read_graph()["toy"])


def test_a_params_list_that_does_not_fit():
    def wrong(records: Source, validity: Sink, params: ToyParams, shared: SharedParams) -> dict: ...

    with pytest.raises(WiringError, match=r"dvc.yaml says params: \['crawls', 'sealed', 'toy'\], the signature needs"):
        check_wiring(wrong, read_graph()["toy"])
    assert expected_params(one, read_graph()["one"]) == {"one", "shared"}


def test_a_misspelt_param_stops_before_any_work():
    with pytest.raises(ParamsError, match=r"unknown key 'toy.m' \(known: n\)"):
        bind(toy, read_graph()["toy"], VALUES | {"toy": {"n": 1, "m": 2}}, {}, Settings())


def test_unknown_stage_and_wrong_number_of_items():
    with pytest.raises(WiringError, match="stage 'nope' is not in dvc.yaml"):
        run(toy, "nope", [])
    with pytest.raises(WiringError, match=r"stage 'one' needs 1 arguments \(item\), got \[\]"):
        run(one, "one", [])


STAGE = """
from tasks.core.errors import CrawlError
from tasks.core.stage import main
from tests.tasks.core.test_stage import ToyParams, Source, Sink, ShardPool

def toy(records: Source, validity: Sink, params: ToyParams, pool: ShardPool) -> dict:
    raise {error}

main(toy)
"""


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        ("CrawlError('crawl x is bad: fix it')", "error: toy: crawl x is bad: fix it", 1),
        ("OSError(28, 'No space left on device', 'data/x')", "error: toy: no space left on the disk (data/x): free some and run", 75),
    ],
)
def test_a_known_error_is_one_line_and_an_exit_code(workspace, repo, error, line, code):
    (workspace / "script.py").write_text(STAGE.format(error=error))
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, env={"PYTHONPATH": str(repo), "PATH": "/usr/bin"}, cwd=workspace
    )
    assert done.returncode == code
    assert line in done.stderr
    assert "Traceback" not in done.stderr
