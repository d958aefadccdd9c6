"""Curate: decisions about a small web whose scores are written by hand."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from tasks.core.tables import Shard
from tasks.curate import CurateParams, curate, joined
from tests.tasks.small_web import SmallWeb, make_web


def params(**changes: Any) -> CurateParams:
    usual = {"target_purity": 0.9, "certainty": 0.95, "min_text_score": 0.2, "survivor": "best", "max_imbalance": 10.0}
    return CurateParams(**(usual | changes))


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
             "suggested_concept": truth or "moss", "suggested_probability": sure, "confidence": sure, "confidence_error": 0.0,
             "label_score": 0.5, "ood_score": sure,
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
    tables = {name: web.source(name) for name in ("records", "validity", "duplicates", "matches", "scores", "reviews")}
    metrics = curate(**tables, curated=web.sink("curated"), params=params(**changes))
    return metrics, web.source("curated").table().to_pylist()


def test_the_threshold_follows_the_target_and_how_sure_it_is(web):
    """The same error in every row: it is taken off the mean as often as `certainty` asks, and opens the interval to both sides."""
    scores = web.source("scores").table().to_pylist()
    for number, row in enumerate(scores):
        row["confidence"], row["confidence_error"] = (0.5 + 0.008 * number if row["confidence"] > 0.5 else 0.03), 0.02
    web.write("scores", scores)
    (low, _), (high, _) = (run(web, target_purity=0.8, certainty=certainty) for certainty in (0.5, 0.9))
    assert high["threshold"] > low["threshold"]
    assert high["kept"] < low["kept"]
    for metrics in (low, high):
        for side, sign in (("least", -1), ("most", 1)):
            expected = min(metrics["expected_purity"] + sign * 1.959964 * 0.02, 1.0)
            assert metrics[f"expected_purity_{side}"] == pytest.approx(expected, abs=2e-6)
    assert low["expected_purity"] >= 0.8
    assert high["expected_purity"] - 1.2816 * 0.02 >= 0.8 - 1e-4


def test_reviewed_rows_add_no_error(web):
    scores = web.source("scores").table().to_pylist()
    web.write("scores", [row | {"confidence_error": 0.02} for row in scores])
    records = web.source("records").table().to_pylist()
    said = [
        {"sample_id": row["sample_id"], "sha256": row["sha256"], "verdict": "confirmed", "concept": web.truth[row["sample_id"]],
         "reviewer": "ann", "reviewed_at": datetime(2026, 1, 2)}
        for row in records if web.truth[row["sample_id"]]
    ]  # fmt: skip
    web.write("reviews", said)
    metrics, _ = run(web)
    assert metrics["expected_purity_least"] == metrics["expected_purity"] == metrics["expected_purity_most"] == 1.0


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


def test_rows_of_all_crawls_are_joined_with_wide_offsets(web):
    rows = joined(*(web.source(name) for name in ("records", "validity", "duplicates", "scores")))
    narrow = [field.name for field in rows.schema if pa.types.is_string(field.type) or pa.types.is_list(field.type)]
    assert not narrow
    assert {"url", "alt_text", "reasons", "duplicate_group", "suggested_concept"} < set(rows.schema.names)


def test_of_two_copies_one_survives(web):
    _, rows = run(web)
    pair = [row for row in rows if sum(other["duplicate_group"] == row["duplicate_group"] for other in rows) == 2]
    assert len(pair) == 2
    gone, alive = sorted(pair, key=lambda row: row["duplicate_of"] is None)
    assert gone["duplicate_of"] == alive["sample_id"]
    assert "duplicate" in gone["reasons"]
    assert "duplicate" not in alive["reasons"]


def test_where_the_first_survives_a_copy_that_comes_later_changes_no_decision(web):
    """The copy is surer than its original; it would be the survivor by the rule `best`."""
    _, before = run(web, survivor="first")
    original = next(row["sample_id"] for row in before if row["keep"] and row["confidence"] < 0.99)
    for table in ("records", "validity", "duplicates", "scores"):
        rows = web.source(table).table().to_pylist()
        copy = next(row for row in rows if row["sample_id"] == original) | {"sample_id": "f" * 32}
        if table == "scores":
            copy |= {"confidence": 0.999}
        web.write(table, [*rows, copy])
    _, after = run(web, survivor="first")
    assert [row for row in after if row["sample_id"] != "f" * 32] == before
    added = next(row for row in after if row["sample_id"] == "f" * 32)
    assert (added["keep"], added["reason"], added["duplicate_of"]) == (False, "duplicate", original)


def test_words_with_another_sense_are_held_to_the_target_by_themselves(web):
    """All rows together would pass at 0.3; those of a word with another sense reach the target only from 0.97 on."""
    records = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    scores = web.source("scores").table().to_pylist()
    for number, row in enumerate(row for row in scores if records[row["sample_id"]] == "moss"):
        row |= {"suggested_concept": "moss", "confidence": 0.97 if number % 2 else 0.3, "other_sense_probability": 0.1}
    web.write("scores", scores)
    metrics, rows = run(web, target_purity=0.8)
    assert metrics["threshold"] < metrics["sense_threshold"] == pytest.approx(0.97)
    kept = [row for row in rows if row["keep"] and row["concept"] == "moss"]
    assert kept
    assert min(row["confidence"] for row in kept) == pytest.approx(0.97)


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


def say(web: SmallWeb, *said: tuple[str, str, str | None]) -> None:
    """Save verdicts (sample_id, verdict, concept) as one sitting."""
    hashes = {row["sample_id"]: row["sha256"] for row in web.source("records").table().to_pylist()}
    rows = [
        {"sample_id": sample_id, "sha256": hashes[sample_id], "verdict": verdict, "concept": concept, "reviewer": "ada",
         "reviewed_at": datetime(2026, 1, 1)}
        for sample_id, verdict, concept in said
    ]  # fmt: skip
    sink = web.sink("reviews")
    sink.write(Shard("", "sitting"), pa.Table.from_pylist(rows, schema=sink.contract.schema))


@pytest.fixture
def distinct(web) -> SmallWeb:
    """The same web, each picture with bytes of its own."""
    rows = [row | {"sha256": row["sample_id"] * 2} for row in web.source("records").table().to_pylist()]
    web.write("records", rows)
    return web


def test_what_a_person_said_decides(distinct):
    _, before = run(distinct)
    off_topic = next(row for row in before if row["reason"] == "out_of_distribution")
    good, other = [row for row in before if row["keep"] and row["concept"] == row["curated_concept"]][:2]
    another = next(name for name in ("moss", "rust") if name != other["concept"])
    said = [(off_topic["sample_id"], "confirmed", off_topic["concept"]), (good["sample_id"], "dropped", None)]
    say(distinct, *said, (other["sample_id"], "corrected", another))
    metrics, after = run(distinct)
    now = {row["sample_id"]: row for row in after}
    row = now[off_topic["sample_id"]]
    assert (row["keep"], row["reason"], row["curated_concept"], row["reviewed"]) == (True, None, off_topic["concept"], "confirmed")
    assert (row["weight"], row["review_priority"]) == (1.0, 0.0)
    row = now[good["sample_id"]]
    assert (row["keep"], row["reason"], row["curated_concept"], row["reviewed"], row["weight"]) == (False, "rejected", None, "dropped", 0.0)
    row = now[other["sample_id"]]
    assert (row["keep"], row["curated_concept"], row["reviewed"], row["weight"]) == (True, another, "corrected", 1.0)
    assert (row["suggested_concept"], row["confidence"]) == (other["suggested_concept"], other["confidence"])  # the machine's own stay
    assert metrics["reviewed"] == {"confirmed": 1, "dropped": 1, "corrected": 1}
    untouched = [row for row in before if row["sample_id"] not in {one[0] for one in said} | {other["sample_id"]}]
    assert all(now[row["sample_id"]]["curated_concept"] == row["curated_concept"] for row in untouched)


def test_a_confirmed_row_is_neither_pruned_nor_doubted(distinct):
    _, before = run(distinct, max_imbalance=0.5)
    gone = next(row for row in before if row["reason"] == "pruned")
    say(distinct, (gone["sample_id"], "confirmed", gone["concept"]))
    _, after = run(distinct, max_imbalance=0.5)
    assert next(row for row in after if row["sample_id"] == gone["sample_id"])["keep"]


def test_no_verdict_makes_a_leak_or_a_broken_row_good(distinct):
    leak = next(row for row in run(distinct)[1] if "leak" in row["reasons"])
    rows = distinct.source("validity").table().to_pylist()
    rows[3] |= {"valid": False, "reasons": ["too_small"]}
    distinct.write("validity", rows)
    say(distinct, (leak["sample_id"], "confirmed", leak["concept"]), (rows[3]["sample_id"], "confirmed", "moss"))
    found = {row["sample_id"]: row for row in run(distinct)[1]}
    assert found[leak["sample_id"]]["reason"] == "leak"
    assert found[rows[3]["sample_id"]]["reason"] == "too_small"


def test_a_dropped_survivor_makes_room_for_a_copy_that_was_not_dropped(distinct):
    pair = [row for row in run(distinct)[1] if row["duplicate_of"] or row["near_duplicate_score"] == 0]
    groups = {row["duplicate_group"] for row in pair}
    members = [row for row in run(distinct)[1] if row["duplicate_group"] in groups]
    alive = next(row for row in members if row["keep"])
    other = next(row for row in members if not row["keep"])
    say(distinct, (alive["sample_id"], "dropped", None))
    found = {row["sample_id"]: row for row in run(distinct)[1]}
    assert found[alive["sample_id"]]["reasons"] == ["rejected"]
    assert "duplicate" not in found[other["sample_id"]]["reasons"]
    records = [row | {"sha256": "0" * 64, "concept": "moss"} for row in distinct.source("records").table().to_pylist()]
    distinct.write("records", records)  # the same bytes under the same concept: all go
    say(distinct, (alive["sample_id"], "dropped", None))
    assert {row["reason"] for row in run(distinct)[1]} <= {"rejected", "leak"}


def test_without_verdicts_nothing_is_reviewed(web):
    metrics, rows = run(web)
    assert metrics["reviewed"] == {}
    assert {row["reviewed"] for row in rows} == {None}
