"""Infer the true state of every sample: one of the concepts, another sense of its word, or none of them, out of image, concept and text.

EM over three signals that err independently of each other given the truth: what networks that never saw the image say of it, the concept
that the crawl gave it (through a transition matrix), and the words of its text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.methods.dependence import discount
from tasks.methods.text_evidence import Texts, WordModel, fit_words, text_likelihood

NO_SENSES = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Beliefs:
    """Outcome of the EM over n_states = K + S + 1 states: K concepts, S other senses of their words, and "none of the concepts".

    posterior (n, n_states): all signals; without_given: image and text alone; without_text: image and given concept alone; image: the image
    alone, tempered, all of that shape; transition (n_states, K): chance of the given concept by true state; prior (n_states,). The
    exponents on the likelihoods of the given concept and of the text are below 1 where these err on the same samples as the image does.
    """

    posterior: np.ndarray
    without_given: np.ndarray
    without_text: np.ndarray
    image: np.ndarray
    transition: np.ndarray
    prior: np.ndarray
    words: WordModel
    temperature: float
    given_exponent: float
    text_exponent: float


def infer(
    image_log_probs: np.ndarray,
    given: np.ndarray,
    texts: Texts,
    weights: np.ndarray,
    *,
    n_steps: int,
    transition_strength: float,
    smoothing: float,
    first_empty_share: float,
    reviewed: np.ndarray | None = None,
    senses: np.ndarray = NO_SENSES,
) -> Beliefs:
    """Run the EM.

    image_log_probs (n, n_states) float: log of the image's chances; given (n,) int, -1 = no concept given; weights (n,) float: what a
    row counts for in every estimate (0 = only judged, as rows of the test split are); senses (S,) int: the concept whose word each other
    sense shares, under which its images are filed. `transition_strength` rows of a prior that spreads the errors evenly are added to each
    row of the transition matrix. Dawid and Skene 1979, with soft annotators that may err together: each of given concept and text counts
    by the exponent with which it and the image foretell the other one best.

    reviewed (n,) int: the state that a person named, -1 = nobody did. All is estimated as if such a row's state were known, with the
    weight of any other row; the beliefs about the row itself stay those of image, concept and text.
    """
    n_states = image_log_probs.shape[1]
    emitted = _given_frequencies(given, weights, n_states - 1 - len(senses))
    transition = _even_transition(0.5, emitted, senses)
    scale, shift = 1.0, np.zeros(n_states)
    image = _softmax(image_log_probs)
    without_text = _normalised(image * _given_likelihood(transition, given))
    posterior = without_text
    words: WordModel | None = None
    for _ in range(n_steps):
        believed, untold = taught(posterior, reviewed), taught(without_text, reviewed)
        transition = fit_transition(believed, given, weights, emitted, strength=transition_strength, senses=senses)
        words = fit_words(texts, believed, untold, weights, words, smoothing=smoothing, first_empty_share=first_empty_share)
        scale, shift = temper(image_log_probs, believed, weights, scale, shift)
        image = _softmax(scale * image_log_probs + shift)
        prior = mean_state(believed, weights)
        stated, told = _given_likelihood(transition, given), text_likelihood(texts, words, prior)
        given_exponent, text_exponent = discount(image, stated, told, weights), discount(image, told, stated, weights)
        without_text = _normalised(image * stated**given_exponent)
        posterior = _normalised(without_text * told**text_exponent)
    if words is None:
        raise ValueError(f"n_steps is {n_steps}: the EM needs at least 1 step")
    without_given = _normalised(image * told**text_exponent)
    prior = mean_state(taught(posterior, reviewed), weights)
    return Beliefs(posterior, without_given, without_text, image, transition, prior, words, 1 / scale, given_exponent, text_exponent)


def taught(posterior: np.ndarray, reviewed: np.ndarray | None) -> np.ndarray:
    """posterior (n, n_states) with certainty in the rows whose state a person named: reviewed (n,) int, -1 = nobody did."""
    if reviewed is None or not (reviewed >= 0).any():
        return posterior
    known, sure = reviewed >= 0, posterior.copy()
    sure[known] = np.eye(posterior.shape[1], dtype=posterior.dtype)[reviewed[known]]
    return sure


def first_image_log_probs(log_probs: np.ndarray, shaping: np.ndarray) -> np.ndarray:
    """(n, m) log of chances of the *given* concept, or of its word's other sense -> (n, m + 1) with a first guess at "none of them".

    An off-topic image comes under any concept, so its chances are flat: the nearer the greatest one is to 1 / m, and the further from
    what clear images reach (the 90 % quantile of the rows `shaping`, (n,) bool), the likelier is none of them. Of a single concept
    nothing can be flat, and none of them is as unlikely as it may be.
    """
    flat = 1 / log_probs.shape[1]
    top = np.exp(log_probs.max(1))
    clear = max(float(np.quantile(top[shaping] if shaping.any() else top, 0.9)), flat + 1e-6)
    none = np.clip((clear - top) / (clear - flat), 0.02, 0.98) if flat < 1 else np.full(len(top), 0.02)
    return np.concatenate([log_probs + np.log1p(-none)[:, None], np.log(none)[:, None]], axis=1)


def fit_transition(
    posterior: np.ndarray, given: np.ndarray, weights: np.ndarray, emitted: np.ndarray, *, strength: float, senses: np.ndarray = NO_SENSES
) -> np.ndarray:
    """(n_states, K) chance of the given concept by true state; off-topic images come under the concepts as often as anything does."""
    n_concepts, n_told = len(emitted), len(emitted) + len(senses)
    known = given >= 0
    counts = np.zeros((n_told, n_concepts))
    mass = posterior[known, :n_told] * weights[known, None]
    np.add.at(counts.T, given[known], mass)
    total = counts[:n_concepts].sum()
    right = float(np.trace(counts) / total) if total > 0 else 0.5
    rows = counts + strength * _even_transition(1 - right, emitted, senses)[:-1]
    return np.vstack([rows / rows.sum(1, keepdims=True), emitted[None, :]])


def temper(log_probs: np.ndarray, posterior: np.ndarray, weights: np.ndarray, scale: float, shift: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale and shift of the log chances that fit the posterior best: three Newton steps on the weighted cross-entropy (Guo et al. 2017).

    Without a row that counts they stay.
    """
    n_states = log_probs.shape[1]
    total = weights.sum()
    for _ in range(3 if total > 0 else 0):
        chance = _softmax(scale * log_probs + shift)
        excess = (chance - posterior) * weights[:, None]
        gradient = np.append((excess * log_probs).sum(), excess.sum(0)) / total
        mean = (chance * log_probs).sum(1, keepdims=True)
        slope = chance * (log_probs - mean) * weights[:, None]
        hessian = np.zeros((n_states + 1, n_states + 1))
        hessian[0, 0] = (slope * log_probs).sum()
        hessian[0, 1:] = hessian[1:, 0] = slope.sum(0)
        hessian[1:, 1:] = np.diag((chance * weights[:, None]).sum(0)) - (chance * weights[:, None]).T @ chance
        step = np.linalg.solve(hessian / total + 1e-4 * np.eye(n_states + 1), gradient)
        scale = float(np.clip(scale - step[0], 0.05, 5.0))
        shift = shift - step[1:]
    return scale, shift - shift.mean()


def _given_frequencies(given: np.ndarray, weights: np.ndarray, n_concepts: int) -> np.ndarray:
    known = given >= 0
    counts = np.bincount(given[known], weights=weights[known], minlength=n_concepts) + 1e-3
    return np.asarray(counts / counts.sum())


def _even_transition(noise: float, emitted: np.ndarray, senses: np.ndarray) -> np.ndarray:
    n_concepts = len(emitted)
    others = np.full((n_concepts, n_concepts), noise / max(n_concepts - 1, 1))
    np.fill_diagonal(others, 1 - noise if n_concepts > 1 else 1.0)
    return np.vstack([others, others[senses], emitted[None, :]])


def _given_likelihood(transition: np.ndarray, given: np.ndarray) -> np.ndarray:
    likelihood = transition.T[given]
    return np.where((given >= 0)[:, None], likelihood, 1.0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(np.maximum(chance / chance.sum(1, keepdims=True), 1e-12))


def _normalised(chances: np.ndarray) -> np.ndarray:
    return np.asarray(chances / chances.sum(1, keepdims=True))


def mean_state(posterior: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n_states,) weighted mean of the rows; the plain mean where every weight is 0."""
    return np.asarray(np.average(posterior, axis=0, weights=weights if weights.sum() > 0 else None))
