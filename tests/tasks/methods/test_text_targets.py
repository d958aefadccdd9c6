"""Words by hand: what a token tells, and what a network should say."""

import numpy as np
import pytest

from tasks.methods.text_targets import token_information, word_targets

# Start 9, end 8, padding 0; "cat" 1, "dog" 2, "image" 3.
TOKENS = np.array([[9, 1, 8, 0], [9, 1, 8, 0], [9, 2, 8, 0], [9, 2, 8, 0], [9, 3, 8, 0], [9, 3, 8, 0]])
CONCEPTS = np.array([0, 0, 1, 1, 0, 1])


def test_a_token_of_one_concept_tells_all_and_one_of_every_concept_nothing() -> None:
    found = token_information(TOKENS, CONCEPTS, prior_rows=1e-9)
    assert found[[1, 2]] == pytest.approx([1, 1], abs=1e-6)
    assert found[[3, 8, 9]] == pytest.approx([0, 0, 0], abs=1e-6)


def test_the_prior_shrinks_what_rare_tokens_tell() -> None:
    # cat: (2 + 2 x 0.5) / 4 = 0.75 against 0.5: (0.75 ln 1.5 + 0.25 ln 0.5) / ln 2.
    found = token_information(TOKENS, CONCEPTS, prior_rows=2)
    assert found[1] == pytest.approx((0.75 * np.log(1.5) + 0.25 * np.log(0.5)) / np.log(2))


def test_without_concepts_every_token_counts() -> None:
    assert token_information(TOKENS, np.full(6, -1), prior_rows=5).tolist() == [1.0] * 10


def test_information_does_not_depend_on_the_order_of_rows() -> None:
    order = np.random.default_rng(0).permutation(6)
    found = token_information(TOKENS, CONCEPTS, prior_rows=1)
    assert np.array_equal(token_information(TOKENS[order], CONCEPTS[order], prior_rows=1), found)


def test_words_share_a_row_by_their_information() -> None:
    tokens = np.array([[9, 1, 3, 8], [9, 1, 8, 0], [9, 3, 8, 0], [9, 5, 8, 0]])
    information = np.zeros(10)
    information[[1, 3, 5]] = 0.6, 0.2, 1.0
    # Columns: tokens 1 and 3; 5 is too rare, 8 and 9 are everywhere, 0 is padding.
    expected = [[0.75, 0.25], [1, 0], [0, 1], [0, 0]]
    assert word_targets(tokens, information, min_count=2) == pytest.approx(np.array(expected))


def test_no_word_is_common_enough() -> None:
    assert word_targets(np.array([[1, 2], [3, 4]]), np.ones(5), min_count=2).shape == (2, 0)
