"""EM over signals on a made crawl with known noise."""

import numpy as np
import pytest

from tasks.methods.posterior import first_image_log_probs, infer, taught, temper
from tasks.methods.text_evidence import read_texts

WORDS = ["moss", "rust", "slate", "lemon"]


def make(noise: float, n: int = 3000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Truth (the last state is off-topic), given concepts, texts and log chances by a predictor that is right in 80 % of rows."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, n, p=[0.3, 0.3, 0.2, 0.2])
    given = np.where((truth == 3) | (rng.random(n) < noise), rng.integers(0, 3, n), truth)
    seen = np.where(rng.random(n) < 0.8, truth, rng.integers(0, 4, n))
    chances = 0.05 + 0.8 * np.eye(4)[seen]
    told = np.where(rng.random(n) < 0.2, rng.integers(0, 4, n), truth)
    texts = ["" if rng.random() < 0.3 else f"a photo of {WORDS[state]}" if rng.random() < 0.7 else "IMG_12 photo" for state in told]
    return truth, given, np.array(texts, object), np.log(chances)


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_all_signals_together_beat_the_image_at_any_noise(noise):
    truth, given, texts, log_probs = make(noise)
    weights = np.ones(len(truth))
    bags = read_texts(list(texts), weights, [[], [], [], []], min_count=2, start_count=0)
    beliefs = infer(log_probs, given, bags, weights, n_steps=15, transition_strength=20, smoothing=2, first_empty_share=0.3)
    alone = (log_probs.argmax(1) == truth).mean()
    assert (beliefs.posterior.argmax(1) == truth).mean() > alone + 0.02
    assert beliefs.prior[3] == pytest.approx(0.2, abs=0.05)
    assert np.diag(beliefs.transition).mean() == pytest.approx(1 - noise * 2 / 3, abs=0.06)
    assert beliefs.posterior.sum(1) == pytest.approx(np.ones(len(truth)))


def test_another_sense_of_a_word_is_a_state_that_comes_under_that_word():
    """Of the rows under the first word seven in ten show its other sense; the image tells the senses apart by 60:40."""
    rng = np.random.default_rng(0)
    n = 4000
    truth = rng.choice(5, n, p=[0.12, 0.25, 0.25, 0.28, 0.1])  # three concepts, other sense of the first one's word, none
    given = np.select([truth == 3, truth == 4], [0, rng.integers(0, 3, n)], truth)
    seen = 0.05 + 0.75 * np.eye(5)[truth]
    blurred = np.isin(truth, (0, 3))
    seen[blurred, 0] = np.where(truth[blurred] == 0, 0.51, 0.34)
    seen[blurred, 3] = 0.85 - seen[blurred, 0]
    words = np.array(["fish", "rose", "clock", "light", "lemon"])[truth]
    texts = [f"a {word}" if told else "" for word, told in zip(words, rng.random(n) < 0.5, strict=True)]
    bags = read_texts(texts, np.ones(n), [[], [], [], ["light"], []], min_count=2, start_count=5)
    settings = {"n_steps": 15, "transition_strength": 20, "smoothing": 2, "first_empty_share": 0.3}
    beliefs = infer(np.log(seen), given, bags, np.ones(n), **settings, senses=np.array([0]))
    assert beliefs.transition.shape == (5, 3)
    assert beliefs.transition[3, 0] > 0.95
    assert (beliefs.posterior.argmax(1) == truth).mean() > 0.93


def test_rows_of_no_weight_shape_nothing():
    _, given, texts, log_probs = make(0.2, n=400)
    weights = np.where(np.arange(400) % 4 == 0, 0.0, 1.0)
    bags = read_texts(list(texts), weights, [[], [], [], []], min_count=2, start_count=0)
    settings = {"n_steps": 5, "transition_strength": 20, "smoothing": 2, "first_empty_share": 0.3}
    first = infer(log_probs, given, bags, weights, **settings)
    second = infer(log_probs, np.where(weights > 0, given, 0), bags, weights, **settings)
    assert second.posterior[weights > 0] == pytest.approx(first.posterior[weights > 0], abs=1e-12)


def test_what_people_named_is_learnt_and_their_rows_are_judged_as_before():
    """An image model that sees nothing, a crawl with 40 % noise: people's word on half of the rows tells the transition matrix."""
    truth, given, _, _ = make(0.4, n=2000)
    blind, weights = np.zeros((2000, 4)), np.ones(2000)
    bags = read_texts([""] * 2000, weights, [[], [], [], []], min_count=2, start_count=0)
    settings = {"n_steps": 5, "transition_strength": 20, "smoothing": 2, "first_empty_share": 0.3}
    reviewed = np.where((np.arange(2000) % 2 == 0) & (truth < 3), truth, -1)
    alone = infer(blind, given, bags, weights, **settings)
    nobody = infer(blind, given, bags, weights, **settings, reviewed=np.full(2000, -1))
    helped = infer(blind, given, bags, weights, **settings, reviewed=reviewed)
    assert np.array_equal(alone.posterior, nobody.posterior)
    assert np.array_equal(alone.transition, nobody.transition)
    counts = np.array([[((truth == row) & (given == column)).sum() for column in range(3)] for row in range(3)])
    expected = counts / counts.sum(1, keepdims=True)
    assert np.abs(helped.transition[:3] - expected).max() < 0.6 * np.abs(alone.transition[:3] - expected).max()
    twins = given[reviewed >= 0] == truth[reviewed >= 0]
    assert helped.posterior[reviewed >= 0].max() < 1  # a person's word is no score of the machine
    assert twins.any()
    of_cat = helped.posterior[given == 0]
    assert of_cat == pytest.approx(np.tile(of_cat[0], (len(of_cat), 1)))  # who was named and who wasn't: judged alike


def test_taught_rows_are_certain_and_the_others_as_they_were():
    posterior = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert taught(posterior, np.array([0, -1])).tolist() == [[1, 0], [0.6, 0.4]]
    assert posterior.tolist() == [[0.2, 0.8], [0.6, 0.4]]
    assert taught(posterior, None) is taught(posterior, np.array([-1, -1])) is posterior


def test_a_flat_image_is_the_likeliest_to_show_none():
    log_probs = np.log(np.array([[0.9, 0.05, 0.05], [0.34, 0.33, 0.33], [0.88, 0.06, 0.06]]))
    none = np.exp(first_image_log_probs(log_probs, np.ones(3, bool)))[:, 3]
    assert none[1] > 0.9 > 0.1 > none[0]


def test_of_a_single_concept_no_image_is_flat():
    found = first_image_log_probs(np.zeros((3, 1)), np.ones(3, bool))
    assert np.exp(found) == pytest.approx(np.tile([0.98, 0.02], (3, 1)))


def test_without_a_row_that_counts_nothing_is_tempered():
    scale, shift = temper(np.log([[0.8, 0.2]]), np.array([[0.5, 0.5]]), np.zeros(1), 0.7, np.array([0.1, -0.1]))
    assert (scale, shift.tolist()) == (0.7, [0.1, -0.1])


def test_tempering_finds_the_scale():
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet([0.5] * 4, 5000))
    softer = np.exp(0.5 * log_probs)
    softer /= softer.sum(1, keepdims=True)
    scale, shift = 1.0, np.zeros(4)
    for _ in range(10):
        scale, shift = temper(log_probs, softer, np.ones(5000), scale, shift)
    assert scale == pytest.approx(0.5, abs=0.02)
    assert np.abs(shift).max() < 0.05


def test_no_step_is_refused():
    _, given, texts, log_probs = make(0.2, n=10)
    bags = read_texts(list(texts), np.ones(10), [[]] * 4, min_count=2, start_count=0)
    with pytest.raises(ValueError, match="n_steps is 0: the EM needs at least 1 step"):
        infer(log_probs, given, bags, np.ones(10), n_steps=0, transition_strength=1, smoothing=1, first_empty_share=0.3)
