"""Donors of texts, by hand and by properties."""

import numpy as np
import pytest

from tasks.methods.text_completion import choose_donors

IMAGES = np.array([[1, 0], [1, 0], [0.8, 0.6], [0, 1], [1, 0]], np.float32)
TEXTS = np.array([[0, 0], [0.8, 0.6], [1, 0], [0, 1], [1, 0]], np.float32)
USABLE = np.array([False, True, True, True, True])
NEIGHBORS = np.array([[1, 2, 3, 4], [0, 2, -1, -1], [0, 1, -1, -1], [0, -1, -1, -1], [0, 1, -1, -1]])
CONCEPTS, GROUPS = np.array([0, 0, 0, 1, 0]), np.array([0, 1, 2, 3, 0])


def donors(**changes: np.ndarray | float) -> list[int]:
    told = {"usable": USABLE, "neighbors": NEIGHBORS, "concepts": CONCEPTS, "groups": GROUPS, "least_quantile": 0.0} | changes
    return choose_donors(IMAGES, TEXTS, **told).tolist()


def test_the_neighbour_whose_text_fits_best_lends_it():
    assert donors() == [2, 1, 2, 3, 4]  # 4 fits as well, and is a copy
    assert donors(groups=np.arange(5))[0] == 2  # the nearer of two that fit equally well
    assert donors(neighbors=np.array([[1, 3, -1, -1]] * 5))[0] == 1


def test_no_text_of_another_concept_of_a_copy_or_of_one_that_has_none():
    assert donors(concepts=np.array([0, 1, 1, 1, 0]))[0] == -1
    assert donors(concepts=np.array([-1, -1, -1, 1, 0]))[0] == -1
    assert donors(usable=np.array([False, True, False, True, False]))[0] == 1
    assert donors(usable=np.zeros(5, bool)) == [-1] * 5


def test_a_text_that_fits_worse_than_the_pairs_do_is_not_lent():
    """Usable pairs fit by 0.8, 0.8, 1 and 1; of row 0 with text 1 it is 0.8."""
    near = np.array([[1, -1, -1, -1]] * 5)
    assert donors(neighbors=near, least_quantile=0.25)[0] == 1
    assert donors(neighbors=near, least_quantile=0.9)[0] == -1


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_complete(n):
    none = choose_donors(
        np.ones((n, 2)), np.ones((n, 2)), np.ones(n, bool), np.full((n, 3), -1), np.zeros(n, int), np.arange(n), least_quantile=0.25
    )
    assert none.tolist() == list(range(n))


@pytest.mark.parametrize("quantile", [-0.1, 2.0])
def test_a_quantile_that_is_none_is_refused(quantile):
    with pytest.raises(ValueError, match=f"least_quantile {quantile} is a share of the usable pairs: give a number from 0 to 1"):
        donors(least_quantile=quantile)
