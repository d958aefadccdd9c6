"""A stage that would mix sealed crawls with ones made differently refuses to start."""

from pathlib import Path

import pytest
import yaml

from tasks.core.graph import read_graph
from tasks.core.sealed import SealError, check_seal

GRAPH = """
stages:
  embed:
    foreach: ${crawls}
    do:
      cmd: exec python -m tasks.embed ${item}
      deps: ["data/images/${item}", data/encoder]
      params: [embed]
      outs: ["data/embeddings/${item}"]
  match: {cmd: exec python -m tasks.match, deps: [data/embeddings, data/encoder], params: [match], outs: [data/matches]}
  index: {cmd: exec python -m tasks.index, deps: [data/embeddings], params: [embed], outs: [data/index]}
"""
VALUES = {"crawls": ["b"], "sealed": ["a"], "embed": {"format": 1}}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(GRAPH)
    meta = {"deps": {"data/encoder": "e1.dir"}, "params": {"embed": {"format": 1}}}
    Path("sealed").mkdir(parents=True)
    Path("sealed/0000.dvc").write_text(yaml.safe_dump({"outs": [], "meta": meta}))
    lock("e1.dir")


def lock(digest: str) -> None:
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"prepare_encoder": {"outs": [{"path": "data/encoder", "md5": digest}]}}}))


def test_nothing_changed():
    for stage in read_graph().values():
        check_seal(stage, VALUES)


def test_other_params_are_refused_where_crawls_are_made():
    changed = VALUES | {"embed": {"format": 2}}
    with pytest.raises(SealError, match="section 'embed' of params.yaml has changed since crawls were sealed"):
        check_seal(read_graph()["embed"], changed)
    check_seal(read_graph()["index"], changed)  # it makes no crawl
    check_seal(read_graph()["embed"], changed | {"sealed": []})


@pytest.mark.parametrize("stage", ["embed", "match"])
def test_another_encoder_is_refused_wherever_it_is_read(stage):
    lock("e2.dir")
    with pytest.raises(SealError, match="data/encoder has changed .* `sluice crawl unseal --all`"):
        check_seal(read_graph()[stage], VALUES)
    check_seal(read_graph()["index"], VALUES)
