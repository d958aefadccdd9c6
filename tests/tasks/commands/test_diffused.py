"""More of the same sense: two cliques that look alike, told apart by what their rows are believed to show."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.commands.diffused import N_NEIGHBORS, diffused, nearest_of
from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.core.errors import SluiceError
from tests.tasks import test_catalog
from tests.tasks.conftest import write_table
from tests.tasks.test_catalog import ids, make_sample

N = 12


def make_graph(concepts: list[str], verdicts: dict[int, str] | None = None) -> tuple[pa.Table, np.ndarray]:
    """A dataset whose rows all are each other's neighbours."""
    params = Path("params.yaml").read_text().replace("crawls: [demo-1, demo-2]", "crawls: [alpha, beta]")
    Path("params.yaml").write_text(params + "validate: {min_side: 25, max_aspect_ratio: 5.0}\ncurate: {min_text_score: 0.05}\n")
    test_catalog.build()
    rows = [
        make_sample(number, suggested_concept=concept, verdict=(verdicts or {}).get(number, "right"))
        for number, concept in enumerate(concepts)
    ]
    write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
    test_catalog.rebuild()
    names = ids(*range(N))
    others = [[other for other in range(N) if other != row] for row in range(N)]
    graph = [
        {"position": row, "sample_id": names[row], "crawl": "alpha", "neighbors": others[row], "similarities": [0.5] * (N - 1)}
        for row in range(N)
    ]
    write_table(NEIGHBORS, Path("data/neighbors"), graph, per_crawl=False)
    vectors = np.hstack([np.ones((N, 1)), np.eye(N)]).astype(np.float16)
    return pa.table({"sample_id": names}), vectors


def test_only_the_sense_that_the_neighbourhood_agrees_with(project: Path) -> None:
    samples, vectors = make_graph(["cat", "dog"] * 6)
    near = diffused(samples, vectors, 4, 8)
    assert {place for _, place in near} == {0, 2, 6, 8, 10}
    assert [similarity for similarity, _ in near] == pytest.approx([0.5] * 5)
    assert len(diffused(samples, vectors, 4, 3)) == 3


def test_off_topic_rows_agree_with_nothing(project: Path) -> None:
    samples, vectors = make_graph(["cat"] * N, dict.fromkeys((1, 3, 5, 7, 9, 11), "off_topic"))
    assert {place for _, place in diffused(samples, vectors, 4, 5)} <= {0, 2, 6, 8, 10}


def test_short_rows_are_filled_up() -> None:
    found = nearest_of(np.array([7, 3]), [{"position": 3, "neighbors": list(range(30))}])
    assert found.tolist() == [[-1] * N_NEIGHBORS, list(range(N_NEIGHBORS))]


def test_without_a_graph_the_error_says_what_to_do(project: Path) -> None:
    samples, vectors = make_graph(["cat"] * N)
    for file in Path("data/neighbors").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(SluiceError, match="no kNN graph: run `dvc repro index` first"):
        diffused(samples, vectors, 4, 3)
