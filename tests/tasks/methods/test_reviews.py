"""What people said, by hand."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from tasks.methods.reviews import Verdict, applied, believed, check_verdict, latest

NOON = datetime(2026, 1, 1, 12)


def review(sample_id: str, verdict: str, concept: str | None = None, *, minutes: int = 0, sha256: str = "h", reviewer: str = "ada") -> dict:
    at = NOON + timedelta(minutes=minutes)
    return {"sample_id": sample_id, "sha256": sha256, "verdict": verdict, "concept": concept, "reviewer": reviewer, "reviewed_at": at}


def test_the_latest_counts_in_whatever_order_they_were_saved():
    rows = [review("a", "confirmed", "cat", minutes=1), review("a", "dropped", minutes=2), review("b", "corrected", "dog")]
    for given in (rows, rows[::-1]):
        assert {name: row["verdict"] for name, row in latest(given).items()} == {"a": "dropped", "b": "corrected"}


def test_withdrawn_is_as_if_nothing_had_been_said():
    assert latest([review("a", "dropped"), review("a", "withdrawn", minutes=1)]) == {}
    assert latest([review("a", "withdrawn"), review("a", "dropped", minutes=1)])["a"]["verdict"] == "dropped"


def test_two_people_at_the_same_moment_give_one_answer_always():
    rows = [review("a", "dropped", reviewer="bo"), review("a", "confirmed", "cat", reviewer="ada")]
    assert latest(rows)["a"]["reviewer"] == latest(rows[::-1])["a"]["reviewer"] == "bo"


def test_verdicts_reach_their_samples():
    reviews = [review("a", "corrected", "dog"), review("gone", "dropped")]
    assert applied(["a", "b"], ["h", "h"], ["cat", "cat"], reviews) == (["corrected", None], ["dog", None])


def test_a_verdict_lapses_with_the_bytes_it_was_about():
    assert applied(["a"], ["other"], ["cat"], [review("a", "dropped")]) == ([None], [None])


def test_a_drop_holds_for_equal_bytes_under_the_same_concept_alone():
    ids, hashes = ["a", "b", "c", "d"], ["h", "h", "h", "i"]
    verdicts, _ = applied(ids, hashes, ["cat", "cat", "dog", "cat"], [review("a", "dropped")])
    assert verdicts == ["dropped", "dropped", None, None]
    verdicts, _ = applied(ids, hashes, ["cat", "cat", "dog", "cat"], [review("a", "dropped"), review("b", "confirmed", "cat")])
    assert verdicts[:2] == ["dropped", "confirmed"]
    assert applied(["a", "b"], ["h", "h"], [None, None], [review("a", "dropped")])[0] == ["dropped", None]


def test_people_are_certain():
    found = believed(np.array([0.2, 0.9, 0.5, np.nan]), ["confirmed", "dropped", None, "corrected"])
    assert found[:3].tolist() == [1.0, 0.0, 0.5]
    assert np.isnan(found[3])  # a row without scores stays without


def test_what_may_be_said():
    assert check_verdict("confirmed", "cat", ["cat"]) is Verdict.CONFIRMED
    assert check_verdict("dropped", None, ["cat"]) is Verdict.DROPPED
    for verdict, concept, message in (
        ("liked", None, "verdict 'liked' is unknown: use one of confirmed, corrected, dropped, withdrawn"),
        ("corrected", "emu", "verdict 'corrected' needs one of the dataset's concepts, not 'emu'"),
        ("confirmed", None, "verdict 'confirmed' needs one of the dataset's concepts, not None"),
        ("dropped", "cat", "verdict 'dropped' takes no concept, but got 'cat'"),
    ):
        with pytest.raises(ValueError, match=message):
            check_verdict(verdict, concept, ["cat"])
