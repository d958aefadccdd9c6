"""Words as evidence, by hand."""

import numpy as np
import pytest

from tasks.methods.text_evidence import fit_words, read_texts, text_likelihood, text_ratio, word_targets, words_of


def test_words():
    assert words_of("IMG_2034 Tabby-cat, the CAT!") == ["cat", "img", "tabby", "the"]
    assert words_of("été 蛙") == ["été", "蛙"]
    assert words_of(None) == words_of("123") == []


def test_rare_words_are_left_out_and_copies_count_once():
    texts = read_texts(["cat", "cat dog", "dog"], np.array([1.0, 0.5, 0.5]), [["Cat"], []], min_count=1.5, start_count=3)
    assert texts.vocabulary == ["cat"]
    assert texts.start.tolist() == [[3.0], [0.0]]


def test_word_targets_prefer_rare_words():
    texts = read_texts(["photo cat", "photo", "photo", "photo", ""], np.ones(5), [[]], min_count=1, start_count=0)
    targets = word_targets(texts, np.ones(5))
    assert targets[0] == pytest.approx([2 / 3, 1 / 3])
    assert targets[1].sum() == pytest.approx(1)
    assert targets[4].sum() == 0


def test_a_word_tells_its_state_and_a_common_one_tells_nothing():
    posterior = np.eye(2)[np.arange(100) % 2]
    rows = [f"photo {'moss' if state == 0 else 'rust'}" if row < 60 else "photo" for row, state in enumerate(np.arange(100) % 2)]
    texts = read_texts(rows, np.ones(100), [[], []], min_count=2, start_count=0)
    model = fit_words(texts, posterior, posterior, np.ones(100), None, smoothing=1, first_empty_share=0.2)
    ratio = text_ratio(texts, model, np.array([0.5, 0.5]))
    assert ratio[0, 0] > 1.8 > 0.2 > ratio[0, 1]
    assert ratio[99] == pytest.approx([1, 1], abs=0.25)
    assert text_likelihood(texts, model, np.array([0.5, 0.5]))[0, 1] > 0.2


def test_a_word_that_stands_in_one_text_does_not_confirm_itself():
    texts = read_texts(["zebra", "moss", "moss", "rust", "rust"], np.ones(5), [[], []], min_count=1, start_count=0)
    posterior = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [0, 1]])
    model = fit_words(texts, posterior, posterior, np.ones(5), None, smoothing=1, first_empty_share=0.2)
    ratio = text_ratio(texts, model, np.array([0.5, 0.5]))
    assert abs(np.log(ratio[0, 0] / ratio[0, 1])) < 0.5
    assert ratio[1, 0] > 1.3


def test_no_words_at_all_say_nothing():
    texts = read_texts(["", None], np.ones(2), [["moss"], []], min_count=1, start_count=2)
    model = fit_words(texts, np.full((2, 2), 0.5), np.full((2, 2), 0.5), np.ones(2), None, smoothing=1, first_empty_share=0.2)
    assert text_ratio(texts, model, np.array([0.5, 0.5])).tolist() == [[1, 1], [1, 1]]
