"""Shape decisions as cleanlab's Datalab shapes its issues: per issue a flag and a score in [0, 1], 1 = good, which is our direction too."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ISSUES = ("label", "outlier", "near_duplicate")


def issue_table(samples: pa.Table) -> pa.Table:
    """One row per sample, in their order: is_{issue}_issue bool and {issue}_score float32 of each issue, given_label and predicted_label,
    near_duplicate_sets (row numbers of the other members of the group of copies). A sample without a score has no issue of that kind.
    """
    verdict = pc.fill_null(samples["verdict"], "")
    sets = copies(samples["duplicate_group"].to_pylist())
    columns: Mapping[str, pa.Array] = {
        "is_label_issue": pc.equal(verdict, "wrong_concept"),
        "label_score": pc.fill_null(samples["label_score"], 1.0),
        "is_outlier_issue": pc.equal(verdict, "off_topic"),
        "outlier_score": pc.fill_null(samples["ood_score"], 1.0),
        "is_near_duplicate_issue": pa.array([bool(found) for found in sets], pa.bool_()),
        "near_duplicate_score": pc.fill_null(samples["near_duplicate_score"], 1.0),
        "given_label": samples["concept"],
        "predicted_label": samples["suggested_concept"],
        "near_duplicate_sets": pa.array(sets, pa.list_(pa.int64())),
        "sample_id": samples["sample_id"],
    }
    return pa.table(dict(columns))


def copies(groups: Sequence[str | None]) -> list[list[int]]:
    """For each row the numbers of the other rows of its group, ascending."""
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        if group is not None:
            members.setdefault(group, []).append(row)
    return [[other for other in members.get(group or "", []) if other != row] for row, group in enumerate(groups)]


def issue_summary(issues: pa.Table) -> pa.Table:
    """One row per issue: issue_type, score (the mean over all rows), num_issues."""
    means = [float(np.mean(issues[f"{issue}_score"].to_numpy())) for issue in ISSUES]
    counts = [pc.sum(issues[f"is_{issue}_issue"]).as_py() for issue in ISSUES]
    return pa.table({"issue_type": list(ISSUES), "score": means, "num_issues": counts})
