"""Drift: a crawl like the ones before is usual, another one is not, and off-topic clumps that come again are proposed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.drift import CONTRACT as DRIFT
from tasks.contracts.embeddings import CONTRACT as EMBEDDINGS
from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.proposals import CONTRACT as PROPOSALS
from tasks.core.params import read_params, section
from tasks.core.tables import Artifact, Sink, Source
from tasks.drift import DriftParams, drift, host_of, is_noisy
from tests.tasks.conftest import digest, write_table

CENTRES = {"cat": [1, 0, 0, 0], "dog": [0, 1, 0, 0], "tractor": [0, 0, 1, 0]}
WORDS = {"cat": "a grey cat", "dog": "my old dog", "tractor": "red tractor in a field"}


def rows_of(crawl: str, n: int, share: float, tractors: int, host: str = "a.test") -> list[dict[str, Any]]:
    """Rows of a crawl: cats and dogs, of which `share` are cats, and tractors that were filed under dog."""
    random = np.random.default_rng(len(crawl))
    rows = []
    for number in range(n + tractors):
        shown = "tractor" if number >= n else "cat" if number < share * n else "dog"
        vector = np.array(CENTRES[shown]) + random.normal(0, 0.1, 4)
        given = "cat" if shown == "cat" else "dog"
        url = f"http://{host}/{crawl}/{number}.jpg"
        rows.append(
            {"url": url, "id": digest(url), "crawl": crawl, "vector": vector / np.linalg.norm(vector), "given": given, "shown": shown}
        )
    return rows


def write_all(top: Path, rows: list[dict[str, Any]]) -> None:
    """The tables that `drift` reads."""
    embeddings = [
        {"sample_id": row["id"], "crawl": row["crawl"], "image_embedding": row["vector"].astype(np.float16), "text_embedding": None}
        for row in rows
    ]
    matches = [
        {
            "sample_id": row["id"],
            "crawl": row["crawl"],
            "matched_concept": row["given"],
            "similarity": 0.9,
            "margin": 0.5,
            "is_anchor": False,
        }
        | {"text_similarity": None, "concepts": ["cat", "dog"], "probabilities": [0.95, 0.05] if row["given"] == "cat" else [0.05, 0.95]}
        for row in rows
    ]
    blank = dict.fromkeys(CURATED.schema.names)
    curated = [
        blank
        | {
            "sample_id": row["id"],
            "image_id": row["id"],
            "crawl": row["crawl"],
            "shard": "00000",
            "key": "0",
            "url": row["url"],
            "status": "ok",
        }
        | {"alt_text": WORDS[row["shown"]], "concept": row["given"], "suggested_concept": row["given"], "duplicate_group": row["id"]}
        | {"keep": row["shown"] != "tractor", "reasons": ["out_of_distribution"] if row["shown"] == "tractor" else [], "weight": 0.0}
        | {"verdict": "off_topic" if row["shown"] == "tractor" else "right"}
        for row in rows
    ]
    write_table(EMBEDDINGS, top / "embeddings", embeddings)
    write_table(MATCHES, top / "matches", matches, per_crawl=False)
    write_table(CURATED, top / "curated", curated, per_crawl=False)


def run(top: Path, crawls: list[str], repo: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Metrics and both tables, by the project's own params."""
    (top / "concepts").mkdir(exist_ok=True)
    concepts = [{"name": name, "definition": name} for name in ("cat", "dog")]
    (top / "concepts/pets.yaml").write_text(yaml.safe_dump({"concepts": concepts}))
    params = section(DriftParams, "drift", read_params(repo / "params.yaml"))
    metrics = drift(
        Source(EMBEDDINGS, top / "embeddings", crawls),
        Source(MATCHES, top / "matches", crawls, per_crawl=False),
        Source(CURATED, top / "curated", crawls, per_crawl=False),
        Artifact(top / "concepts"),
        Sink(DRIFT, top / "drift", crawls),
        Sink(PROPOSALS, top / "proposals", crawls),
        params,
        crawls,
    )
    return metrics, Source(DRIFT, top / "drift").table().to_pylist(), Source(PROPOSALS, top / "proposals").table().to_pylist()


def test_a_crawl_of_other_things_is_told_from_one_more_of_the_same(tmp_path: Path, repo: Path) -> None:
    write_all(tmp_path, [*rows_of("a", 60, 0.5, 5), *rows_of("bb", 60, 0.5, 5), *rows_of("ccc", 60, 1.0, 40)])
    metrics, table, _ = run(tmp_path, ["a", "bb", "ccc"], repo)
    assert metrics["a"] == {"exceeded": 0}
    assert metrics["bb"]["exceeded"] == 0
    beyond = {row["measure"] for row in table if row["exceeded"]}
    assert beyond >= {"frechet", "noise"}
    assert {row["crawl"] for row in table if row["exceeded"]} == {"ccc"}
    assert metrics["ccc"]["noise"] == pytest.approx(0.4 - 10 / 130, abs=1e-6)
    assert metrics["ccc"]["hosts"] == 0
    assert [row["n_rows_before"] for row in table if row["measure"] == "frechet"] == [65, 130]
    assert len(table) == 16


def test_what_comes_again_is_proposed_with_its_words(tmp_path: Path, repo: Path) -> None:
    write_all(tmp_path, [*rows_of("a", 30, 0.5, 5), *rows_of("bb", 30, 0.5, 7, host="b.test")])
    metrics, _, (found,) = run(tmp_path, ["a", "bb"], repo)
    assert metrics["proposals"] == 1
    assert (found["n_rows"], found["crawls"], found["n_hosts"], found["nearest_concept"]) == (12, ["a", "bb"], 2, "dog")
    assert set(found["words"]) <= {"red", "tractor", "in", "field"}
    assert len(found["words"]) == 3
    assert found["proposal_id"] == found["sample_ids"][0]
    assert found["cohesion"] > 0.9


def test_what_one_crawl_brings_alone_is_not(tmp_path: Path, repo: Path) -> None:
    write_all(tmp_path, [*rows_of("a", 30, 0.5, 12), *rows_of("bb", 30, 0.5, 0)])
    metrics, _, found = run(tmp_path, ["a", "bb"], repo)
    assert (metrics["proposals"], found) == (0, [])


def test_one_crawl_has_nothing_before_it(tmp_path: Path, repo: Path) -> None:
    write_all(tmp_path, rows_of("a", 20, 0.5, 0))
    assert run(tmp_path, ["a"], repo) == ({"proposals": 0, "a": {"exceeded": 0}}, [], [])


def test_rows_that_say_nothing():
    assert is_noisy(None, ["out_of_distribution"])
    assert not is_noisy(None, ["duplicate"])
    assert is_noisy("wrong_concept", [])
    assert host_of("") == host_of("http://[") == ""
