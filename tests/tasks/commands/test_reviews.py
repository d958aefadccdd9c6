"""Verdicts on the disk: one file per sitting, each verdict at once, none lost."""

from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.commands.reviews import Sitting, in_force, reviews_table

NOON = datetime(2026, 1, 1, 12)


def sit(reviewer: str = "ada", at: datetime = NOON) -> Sitting:
    return Sitting(reviewer, ["cat", "dog"], clock=lambda: at)


def test_an_empty_folder_is_an_empty_table(project: Path) -> None:
    assert reviews_table().table().num_rows == 0
    assert in_force() == {}
    sit()
    assert not Path("data/reviews").exists()  # nothing is written before something is said


def test_every_verdict_is_saved_at_once_with_who_and_when(project: Path) -> None:
    sitting = sit()
    sitting.say("a", "h", "corrected", "dog")
    assert reviews_table().table().to_pylist() == [
        {"sample_id": "a", "sha256": "h", "verdict": "corrected", "concept": "dog", "reviewer": "ada", "reviewed_at": NOON}
    ]
    sitting.say("b", "h", "dropped", None)
    assert [path.name[:15] for path in Path("data/reviews").iterdir()] == ["20260101T120000"]
    assert {name: row["verdict"] for name, row in in_force().items()} == {"a": "corrected", "b": "dropped"}


def test_two_people_write_two_files_and_the_later_word_counts(project: Path) -> None:
    early, late = sit("ada"), sit("bo", NOON.replace(hour=13))
    late.say("a", "h", "dropped", None)
    early.say("a", "h", "confirmed", "cat")
    assert len(list(Path("data/reviews").glob("*.parquet"))) == 2
    assert in_force()["a"]["reviewer"] == "bo"


def test_a_mind_can_be_changed_even_when_the_clock_stands(project: Path) -> None:
    sitting = sit()
    sitting.say("a", "h", "confirmed", "cat")
    sitting.say("b", "h", "dropped", None)
    sitting.say("a", "h", "withdrawn", None)
    assert sitting.standing() == ["b"]
    assert list(in_force()) == ["b"]
    assert reviews_table().table().num_rows == 3  # nothing is ever taken away


def test_what_can_not_stand_is_not_saved(project: Path) -> None:
    sitting = sit()
    sitting.say("a", "h", "confirmed", "cat")
    with pytest.raises(ValueError, match="needs one of the dataset's concepts, not 'emu'"):
        sitting.say("b", "h", "corrected", "emu")
    assert pq.read_table("data/reviews").num_rows == len(sitting.rows) == 1
