"""Great Expectations behind its door: figures, shares, examples, and failures that are no verdicts."""

import pytest

from tasks.methods.expectations import Check, at_least, at_most, complaint, run_suite


def test_figures_and_limits() -> None:
    results = run_suite("figures", {"share": [0.25]}, [at_least("share", "min_share", 0.3), at_most("share", "max_share", 0.25)])
    assert [(result["figure"], result["bound"], result["passed"]) for result in results] == [(0.25, 0.3, False), (0.25, 0.25, True)]
    assert complaint(results[0]) == "expect_column_min_to_be_between on 'share' found 0.25, the limit is 0.3 (min_share)"


def test_the_figure_of_a_check_over_rows_is_the_share_that_meets_it() -> None:
    check = Check("ExpectColumnValuesToBeInSet", "format", "min_conforming_share", 0.7, {"value_set": ["png"], "mostly": 0.7})
    strict = Check("ExpectColumnValuesToBeInSet", "format", "every row", 1.0, {"value_set": ["png"]})
    results = run_suite("rows", {"format": ["png", "png", "png", "svg"]}, [check, strict])
    assert [(result["figure"], result["passed"]) for result in results] == [(0.75, True), (0.75, False)]
    assert complaint(results[1]).endswith("found 0.75, the limit is 1 (every row), such as 'svg'")


def test_what_could_not_be_evaluated_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^ExpectColumnMinToBeBetween on 'absent' could not be evaluated: "):
        run_suite("figures", {"share": [0.5]}, [at_least("absent", "min_absent", 0.1)])
