import pytest

from tasks.core.lineage import last_runs, read_runs, record_run
from tasks.core.settings import Settings


def test_runs_are_recorded_also_when_they_fail(tmp_path):
    with record_run("embed", "a", Settings(), tmp_path) as run:
        run["metrics"] = {"images": 3}
    with pytest.raises(RuntimeError), record_run("index", "", Settings(), tmp_path):
        raise RuntimeError
    runs = {run["stage"]: run for run in read_runs(tmp_path)}
    assert runs["embed"]["status"] == "completed"
    assert runs["embed"]["metrics"] == {"images": 3}
    assert runs["embed"]["peak_memory_mb"] > 1
    assert runs["embed"]["seconds"] >= 0
    assert "pyarrow" in runs["embed"]["versions"]
    assert runs["index"]["status"] == "failed"
    assert list(last_runs(list(runs.values()))) == [("embed", "a")]
