"""EM over signals on a made crawl with known noise."""

import numpy as np
import pytest

from tasks.methods.posterior import first_image_log_probs, infer, temper
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


def test_rows_of_no_weight_shape_nothing():
    _, given, texts, log_probs = make(0.2, n=400)
    weights = np.where(np.arange(400) % 4 == 0, 0.0, 1.0)
    bags = read_texts(list(texts), weights, [[], [], [], []], min_count=2, start_count=0)
    settings = {"n_steps": 5, "transition_strength": 20, "smoothing": 2, "first_empty_share": 0.3}
    first = infer(log_probs, given, bags, weights, **settings)
    second = infer(log_probs, np.where(weights > 0, given, 0), bags, weights, **settings)
    assert second.posterior[weights > 0] == pytest.approx(first.posterior[weights > 0], abs=1e-12)


def test_a_flat_image_is_the_likeliest_to_show_none():
    log_probs = np.log(np.array([[0.9, 0.05, 0.05], [0.34, 0.33, 0.33], [0.88, 0.06, 0.06]]))
    none = np.exp(first_image_log_probs(log_probs, np.ones(3, bool)))[:, 3]
    assert none[1] > 0.9 > 0.1 > none[0]


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
