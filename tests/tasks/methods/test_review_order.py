"""The robust rule: its worked example, its bound, and draws that its chances foretell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.review_order import draw_chances, prefix_length, review_order

GAINS = np.array([0.9, 0.8, 0.5, 0.2, 0.1])


def worst(chances: np.ndarray, gains: np.ndarray, wrong: int) -> float:
    """What is left of the expected gain when the rows that give most of it are wrong."""
    return float(np.sort(chances * gains)[: len(gains) - wrong].sum())


def test_the_worked_example():
    assert prefix_length(GAINS, wrong=1) == 3
    chances = draw_chances(GAINS, wrong=1)
    assert chances == pytest.approx([0.2548, 0.2866, 0.4586, 0, 0], abs=1e-4)
    assert worst(chances, GAINS, 1) == pytest.approx(0.4586, abs=1e-4)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=7), st.data())
def test_no_other_chances_are_worth_more(gains, data):
    values = np.array(gains)
    wrong = data.draw(st.integers(0, len(values) - 1))
    best = worst(draw_chances(values, wrong=wrong), values, wrong)
    other = np.array(data.draw(st.lists(st.floats(0.001, 1), min_size=len(values), max_size=len(values))))
    assert worst(other / other.sum(), values, wrong) <= best + 1e-9


def test_without_a_wrong_verdict_the_order_is_that_of_the_gains():
    draws = np.random.default_rng(0).random(5)
    assert review_order(GAINS[::-1], draws, budget=4, wrong=0).tolist() == [4, 3, 2, 1]


def test_rows_are_drawn_by_their_chances():
    chances, hits = draw_chances(GAINS, wrong=1), np.zeros(5)
    for draws in np.random.default_rng(0).random((4000, 5)):
        hits[review_order(GAINS, draws, budget=1, wrong=1)[0]] += 1
    assert hits / 4000 == pytest.approx(chances, abs=0.03)


@given(st.lists(st.sampled_from([0.1, 0.4, 0.4, 1.0]), max_size=9), st.integers(1, 12), st.integers(0, 12), st.integers(0, 9))
def test_as_many_rows_as_the_budget_none_twice_whatever_their_order(gains, budget, wrong, seed):
    values, draws = np.array(gains), np.random.default_rng(seed).random(len(gains))
    found = review_order(values, draws, budget=budget, wrong=wrong)
    assert len(np.unique(found)) == len(found) == min(budget, len(values))
    turned = np.random.default_rng(seed + 1).permutation(len(values))
    assert turned[review_order(values[turned], draws[turned], budget=budget, wrong=wrong)].tolist() == found.tolist()


def test_equal_gains_are_drawn_from_all():
    assert prefix_length(np.full(6, 0.3), wrong=1) == 6
    assert prefix_length(np.array([0.3]), wrong=0) == 1
    assert review_order(np.zeros(0), np.zeros(0), budget=3, wrong=0).shape == (0,)


def test_what_can_not_be_is_named():
    with pytest.raises(ValueError, match="5 wrong verdicts of 5 leave nothing that is sure"):
        draw_chances(GAINS, wrong=5)
    with pytest.raises(ValueError, match="gains must be positive and finite"):
        review_order(np.array([1.0, 0.0]), np.zeros(2), budget=1, wrong=0)
    for budget, wrong in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match=f"a budget of {budget} verdicts, {wrong} of them wrong, can't be"):
            review_order(GAINS, np.zeros(5), budget=budget, wrong=wrong)
