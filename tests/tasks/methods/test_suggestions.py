"""Suggestions and text scores, by hand."""

import numpy as np
import pytest

from tasks.methods.suggestions import suggestions, text_scores, word_fit


def test_the_given_concept_is_suggested_only_when_it_is_sure():
    chances = np.array([[0.85, 0.1, 0.05], [0.6, 0.3, 0.1], [0.09, 0.005, 0.005], [0.2, 0.1, 0.7]])
    assert suggestions(chances, np.array([0, 0, 0, -1]), min_given_share=0.8).tolist() == [0, 1, 0, 2]
    assert suggestions(np.ones((2, 1)), np.array([0, -1]), min_given_share=0.8).tolist() == [0, 0]


def test_a_text_of_words_that_the_image_predicts_fits():
    fit = word_fit(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.array([[0.8, 0.2]] * 3), np.array([0.5, 0.5]))
    assert fit == pytest.approx([np.log(1.6), np.log(0.4), 0])
    assert text_scores(fit, np.array([True, True, False])) == pytest.approx([1.6 / 2.6, 0.4 / 1.4, 0.5])
