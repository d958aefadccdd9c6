"""Issues by hand."""

import pyarrow as pa
import pytest

from tasks.methods.issue_table import copies, issue_summary, issue_table

SAMPLES = pa.table(
    {
        "sample_id": ["a", "b", "c"],
        "verdict": pa.array(["right", "wrong_concept", None]),
        "duplicate_group": pa.array(["a", "a", None]),
        "label_score": pa.array([0.9, 0.2, None], pa.float32()),
        "ood_score": pa.array([1.0, 0.5, None], pa.float32()),
        "near_duplicate_score": pa.array([0.0, 0.0, None], pa.float32()),
        "concept": pa.array(["cat", "cat", None]),
        "suggested_concept": pa.array(["cat", "dog", None]),
    }
)


def test_flags_and_scores() -> None:
    issues = issue_table(SAMPLES)
    assert issues["is_label_issue"].to_pylist() == [False, True, False]
    assert issues["is_outlier_issue"].to_pylist() == [False, False, False]
    assert issues["is_near_duplicate_issue"].to_pylist() == [True, True, False]
    assert issues["near_duplicate_sets"].to_pylist() == [[1], [0], []]
    assert issues["label_score"].to_pylist() == pytest.approx([0.9, 0.2, 1.0])
    summary = issue_summary(issues).to_pylist()
    assert [(row["issue_type"], row["num_issues"]) for row in summary] == [("label", 1), ("outlier", 0), ("near_duplicate", 2)]
    assert summary[0]["score"] == pytest.approx(0.7)


def test_copies_know_each_other() -> None:
    assert copies(["x", None, "x", "y", "x"]) == [[2, 4], [], [0, 4], [], [0, 2]]
