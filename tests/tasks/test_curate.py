"""Curate: decisions about a small web whose scores are written by hand."""

from typing import Any

import pytest

from tasks.curate import CurateParams, curate
from tests.tasks.small_web import SmallWeb, make_web


def params(**changes: Any) -> CurateParams:
    return CurateParams(**({"target_purity": 0.9, "min_text_score": 0.2, "survivor": "best", "max_imbalance": 10.0} | changes))


@pytest.fixture
def web(tmp_path) -> SmallWeb:
    web = make_web(tmp_path, n_rows=60)
    records = {row["sample_id"]: row for row in web.source("records").table().to_pylist()}
    scores, matches = [], []
    for sample_id, truth in web.truth.items():
        right = records[sample_id]["concept"] == truth
        sure = 0.03 if truth is None else 0.97
        scores.append(
            {"sample_id": sample_id, "crawl": "alpha", "given_probability": sure if right else 0.01, "off_topic_probability": 1 - sure,
             "suggested_concept": truth or "moss", "suggested_probability": sure, "confidence": sure, "label_score": 0.5, "ood_score": sure,
             "text_score": 0.5, "probe_score": 0.5, "vote_score": 0.5, "confident_score": 0.5, "is_label_issue": False,
             "knn_ood_score": 0.5, "mahalanobis_score": 0.5}
        )  # fmt: skip
        matches.append(
            {"sample_id": sample_id, "crawl": "alpha", "matched_concept": truth or "moss", "similarity": 1.0, "margin": 1.0,
             "text_similarity": None, "is_anchor": False, "concepts": ["moss"], "probabilities": [1.0]}
        )  # fmt: skip
    web.write("scores", scores)
    web.write("matches", matches)
    return web


def run(web: SmallWeb, **changes: Any) -> tuple[dict, list[dict]]:
    tables = {name: web.source(name) for name in ("records", "validity", "duplicates", "matches", "scores")}
    metrics = curate(**tables, curated=web.sink("curated"), params=params(**changes))
    return metrics, web.source("curated").table().to_pylist()


def test_every_row_is_decided_and_every_drop_has_a_reason(web):
    metrics, rows = run(web)
    assert len(rows) == metrics["rows"] == 60
    for row in rows:
        assert row["keep"] == (row["reason"] is None) == (row["reasons"] == [])
        assert row["keep"] == (row["curated_concept"] is not None)
        assert (row["weight"] > 0) == row["keep"]
    kept = [row for row in rows if row["keep"]]
    assert all(row["curated_concept"] == web.truth[row["sample_id"]] for row in kept)
    dropped = {row["reason"] for row in rows if not row["keep"] and web.truth[row["sample_id"]] is None}
    assert dropped <= {"out_of_distribution", "leak", "duplicate"}
    assert metrics["relabelled"] > 0


def test_of_two_copies_one_survives(web):
    _, rows = run(web)
    pair = [row for row in rows if sum(other["duplicate_group"] == row["duplicate_group"] for other in rows) == 2]
    assert len(pair) == 2
    gone, alive = sorted(pair, key=lambda row: row["duplicate_of"] is None)
    assert gone["duplicate_of"] == alive["sample_id"]
    assert "duplicate" in gone["reasons"]
    assert "duplicate" not in alive["reasons"]


def test_a_leak_is_never_kept(web):
    _, rows = run(web)
    assert [row["reason"] for row in rows if "leak" in row["reasons"]] == ["leak"]


def test_a_higher_target_keeps_fewer(web):
    assert run(web, target_purity=0.5)[0]["kept"] > run(web, target_purity=0.97)[0]["kept"] > 0
    assert run(web, target_purity=0.99)[0]["kept"] == 0


def test_a_cap_prunes_the_least_confident(web):
    metrics, rows = run(web, max_imbalance=0.5)
    assert metrics["reasons"]["pruned"] > 5
    assert sum(row["reason"] == "pruned" for row in rows) == metrics["reasons"]["pruned"]


def test_invalid_rows_keep_their_reasons_and_have_no_scores(web):
    rows = web.source("validity").table().to_pylist()
    rows[3] |= {"valid": False, "reasons": ["broken"]}
    gone = rows[3]["sample_id"]
    web.write("validity", rows)
    for name in ("duplicates", "scores"):
        web.write(name, [row for row in web.source(name).table().to_pylist() if row["sample_id"] != gone])
    _, found = run(web)
    row = next(row for row in found if row["sample_id"] == gone)
    assert (row["reason"], row["confidence"], row["verdict"], row["review_priority"]) == ("broken", None, None, None)


def test_a_sample_of_two_crawls_is_one_row(web):
    web.crawls = ["alpha", "beta"]
    again = [row | {"crawl": "beta"} for row in web.source("records").table().to_pylist()[:7]]
    checked = [row | {"crawl": "beta"} for row in web.source("validity").table().to_pylist()[:7]]
    web.write("records", web.source("records").table().to_pylist() + again)
    web.write("validity", web.source("validity").table().to_pylist() + checked)
    _, rows = run(web)
    assert len(rows) == 60
    assert {row["crawl"] for row in rows} == {"alpha"}
