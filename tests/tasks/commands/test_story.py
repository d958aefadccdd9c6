"""What would change a decision, out of the tables and figures of a project."""

import json
from pathlib import Path

import pytest

from tasks.commands.story import lookup, purity_at, threshold_in_force, verdicts
from tasks.contracts.curated import CONTRACT as CURATED
from tests.tasks.conftest import write_table
from tests.tasks.test_catalog import make_sample

CRAWL = "demo-1"


def test_the_purity_at_a_confidence_is_the_mean_from_there_on(project: Path) -> None:
    assert purity_at(0.5, relabelled=False, misread=False) is None
    rows = [
        make_sample(0, crawl=CRAWL, confidence=1.0, split="train"),
        make_sample(1, crawl=CRAWL, confidence=0.6, split="train"),
        make_sample(2, crawl=CRAWL, confidence=0.2, split="train", concept="tench", suggested_concept="pike"),
        make_sample(3, crawl=CRAWL, confidence=0.9, split="test"),  # thresholds never see the test split
        make_sample(4, crawl=CRAWL, confidence=0.1, split="train", reason="duplicate"),
        make_sample(5, crawl=CRAWL, confidence=0.0, split="val", reviewed="confirmed"),  # certain, whatever the machine thought
    ]
    write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
    assert purity_at(0.6, relabelled=False, misread=False) == pytest.approx((1.0 + 0.6 + 1.0) / 3)
    assert purity_at(0.2, relabelled=False, misread=False) == pytest.approx((1.0 + 0.6 + 0.2 + 1.0) / 4)
    assert purity_at(0.2, relabelled=True, misread=False) == pytest.approx(0.2)  # for the relabelled rows by themselves
    assert purity_at(0.6, relabelled=True, misread=False) == pytest.approx((1.0 + 0.6 + 1.0) / 3)


def test_the_threshold_is_the_one_that_curate_wrote_down(project: Path) -> None:
    assert threshold_in_force(relabelled=False, misread=False) is None
    Path("reports/metrics").mkdir(parents=True)
    Path("reports/metrics/curate.json").write_text(json.dumps({"threshold": 0.75, "relabel_threshold": 0.8, "sense_threshold": 0.9}))
    assert threshold_in_force(relabelled=False, misread=False) == 0.75
    assert threshold_in_force(relabelled=True, misread=False) == 0.8
    assert threshold_in_force(relabelled=True, misread=True) == 0.9


def test_rows_of_a_word_with_another_sense_are_held_to_the_target_by_themselves(project: Path) -> None:
    rows = [make_sample(0, crawl=CRAWL, confidence=1.0, split="train", concept="pike", suggested_concept="pike")]
    rows += [make_sample(n, crawl=CRAWL, confidence=0.4, split="train", concept="ray", suggested_concept="ray") for n in (1, 2)]
    write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
    Path("reports/metrics").mkdir(parents=True)
    assert purity_at(0.4, relabelled=False, misread=True) == pytest.approx(0.6)  # nothing is known of senses
    Path("reports/metrics/score.json").write_text(json.dumps({"other_senses": ["ray"]}))
    assert purity_at(0.4, relabelled=False, misread=True) == pytest.approx(0.4)
    assert purity_at(0.4, relabelled=False, misread=False) == pytest.approx(0.6)


def test_without_verdicts_the_story_says_where_to_give_one(project: Path) -> None:
    assert verdicts(lookup(), "a") == [("", "none yet: `sluice explore` has a queue")]
