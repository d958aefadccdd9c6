"""Rebuild runs what changed and what needs it, and nothing else."""

from contextlib import nullcontext

import pytest

from flows import rebuild as module
from flows.stages import Graph

GRAPH = Graph(
    order=("ingest@a", "ingest@b", "index", "report"),
    needs={
        "ingest@a": frozenset(),
        "ingest@b": frozenset(),
        "index": frozenset({"ingest@a", "ingest@b"}),
        "report": frozenset({"ingest@a", "ingest@b", "index"}),
    },
)


@pytest.mark.parametrize(
    ("changed", "stages", "expected"),
    [
        (set(), None, []),
        ({"ingest@b"}, None, ["ingest@b", "index", "report"]),
        ({"index"}, None, ["index", "report"]),
        ({"index"}, ["ingest"], []),
        ({"ingest@a", "data/crawls/b.dvc"}, ["index"], ["ingest@a", "index"]),
    ],
)
def test_only_what_changed_is_run(changed, stages, expected, monkeypatch):
    ran = []

    class Logger:
        def info(self, *words: object) -> None:
            pass

    monkeypatch.setattr(module, "read_graph", lambda: GRAPH)
    monkeypatch.setattr(module, "changed_stages", lambda: changed)
    monkeypatch.setattr(module, "get_run_logger", Logger)
    monkeypatch.setattr(module, "workspace_lock", lambda *words, **more: nullcontext())
    monkeypatch.setattr(module, "run_stages", lambda order, timeout, needs: ran.extend(order))
    module.rebuild.fn(stages)
    assert ran == expected
