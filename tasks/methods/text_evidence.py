"""Read alt texts as evidence: which concept a text speaks for, and how well it fits its image, out of words alone.

A word tells its concept by the company it keeps: no dictionary is needed, one in the concept files only gives a start.
Naive Bayes on words in an EM over unread texts is Nigam, McCallum, Thrun and Mitchell, "Text classification from labeled and unlabeled
documents using EM", 2000. Not from there: a share of texts that say nothing, what a text added left out of its own judgement, and that one
text says at most one over the prior.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Texts:
    """Texts as bags of words.

    matrix (n, n_words) csr float32 of 0 and 1; vocabulary: the words of its columns; start (n_states, n_words) float32: counts that the
    concepts' own words give to their states before any text is read.
    """

    matrix: Any
    vocabulary: list[str]
    start: np.ndarray


@dataclass(frozen=True)
class WordModel:
    """What the words say.

    counts (n_states, n_words): how often each word stands in texts of each state, smoothed; spoken (n, n_states): what each text added
    to the counts of its words; overall (n_words,): the words' frequencies; empty_share: share of texts that say nothing.
    """

    counts: np.ndarray
    spoken: np.ndarray
    overall: np.ndarray
    empty_share: float


def words_of(text: str | None) -> list[str]:
    """The distinct words of a text in lower case, sorted; digits and signs are no words."""
    return sorted(set(WORD.findall(text.lower()))) if text else []


def read_texts(
    texts: Sequence[str | None], weights: np.ndarray, named: Sequence[Sequence[str]], *, min_count: float, start_count: float
) -> Texts:
    """Texts as bags of the words that occur in at least `min_count` of them (weighted: a group of copies counts as one).

    `named` lists for each state the words that its concept file gives it; each gets `start_count` before any text is read.
    """
    from scipy.sparse import csr_matrix

    bags = [words_of(text) for text in texts]
    counts: dict[str, float] = defaultdict(float)
    for bag, weight in zip(bags, weights, strict=True):
        for word in bag:
            counts[word] += float(weight)
    vocabulary = sorted(word for word, count in counts.items() if count >= min_count)
    columns = {word: j for j, word in enumerate(vocabulary)}
    kept = [[columns[word] for word in bag if word in columns] for bag in bags]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in kept])]).astype(np.int64)
    flat = np.array([j for row in kept for j in row], np.int64)
    matrix = csr_matrix((np.ones(len(flat), np.float32), flat, starts), shape=(len(bags), len(vocabulary)))
    start = np.zeros((len(named), len(vocabulary)), np.float32)
    for state, names in enumerate(named):
        for word in {word for name in names for word in words_of(name)} & columns.keys():
            start[state, columns[word]] = start_count
    return Texts(matrix, vocabulary, start)


def word_targets(texts: Texts, weights: np.ndarray) -> np.ndarray:
    """(n, n_words) float32 for a word head: each text's words, rare ones before common ones (by one over the root of their count)."""
    counts = np.maximum(texts.matrix.T @ weights, 1e-9)
    targets = texts.matrix.multiply(counts[None, :] ** -0.5).toarray().astype(np.float32)
    return np.asarray(targets / np.maximum(targets.sum(1, keepdims=True), 1e-9))


def fit_words(
    texts: Texts,
    posterior: np.ndarray,
    without_text: np.ndarray,
    weights: np.ndarray,
    before: WordModel | None,
    *,
    smoothing: float,
    first_empty_share: float,
) -> WordModel:
    """The word model that follows from a posterior over the states (n, n_states); one M-step of the EM.

    A text counts for a state by the chance that it says something at all, judged by the model `before`. The share of texts that say
    nothing is the one that makes the texts likeliest given the chances of the states `without_text` (n, n_states).
    """
    has_words = np.asarray(texts.matrix.sum(1)).ravel() > 0
    prior = np.average(posterior, axis=0, weights=weights) if weights.sum() > 0 else posterior.mean(0)
    share, speaks = first_empty_share, np.full_like(posterior, 1 - first_empty_share)
    if before is not None:
        ratio = text_ratio(texts, before, prior)
        share = _empty_share((without_text * ratio).sum(1), weights * has_words)
        speaks = (1 - share) * ratio / (share + (1 - share) * ratio)
    spoken = posterior * speaks * (weights * has_words)[:, None]
    overall = np.asarray(texts.matrix.T @ weights).ravel() + texts.start.sum(0) + 1e-9
    words_per_text = max(float(weights @ np.asarray(texts.matrix.sum(1)).ravel()) / max(float(weights @ has_words), 1e-9), 1.0)
    prior_counts = smoothing * words_per_text * overall / overall.sum()
    return WordModel(np.asarray((texts.matrix.T @ spoken).T) + texts.start + prior_counts, spoken, overall / overall.sum(), share)


def text_ratio(texts: Texts, model: WordModel, prior: np.ndarray) -> np.ndarray:
    """(n, n_states) float64: chance of the state given a text that speaks, over the state's prior; 1 without words.

    What a text itself added to the counts of its words is left out, or a rare word would confirm itself. The words of one text
    depend on each other; so the product of their ratios is brought back to a distribution over the states, which bounds what one
    text can say by one over the prior.
    """
    matrix = texts.matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    sizes = model.counts.sum(1)
    others = np.maximum(model.counts[:, matrix.indices].T - model.spoken[rows], 1e-12)
    left = np.maximum(sizes - model.spoken * np.diff(matrix.indptr)[:, None], 1e-9)
    log_ratio = np.log(others / left[rows]) - np.log(model.overall[matrix.indices])[:, None]
    logits = np.zeros((matrix.shape[0], len(sizes)))
    np.add.at(logits, rows, log_ratio)
    logits += np.log(np.maximum(prior, 1e-12))
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(chance / chance.sum(1, keepdims=True) / np.maximum(prior, 1e-12))


def text_likelihood(texts: Texts, model: WordModel, prior: np.ndarray) -> np.ndarray:
    """(n, n_states) float64: chance of the text given the state over its chance at all; a share of texts says nothing."""
    return model.empty_share + (1 - model.empty_share) * text_ratio(texts, model, prior)


def text_votes(texts: Texts, model: WordModel, prior: np.ndarray, *, n_concepts: int, least: float) -> np.ndarray:
    """(n,) int: the concept that a text names by itself, with a chance above `least`; -1 where it names none so surely."""
    chances = text_likelihood(texts, model, prior) * prior
    chances /= chances.sum(1, keepdims=True)
    votes = chances.argmax(1)
    return np.where((chances.max(1) > least) & (votes < n_concepts), votes, -1)


def _empty_share(expected_ratio: np.ndarray, weights: np.ndarray) -> float:
    """The share of texts that say nothing, of the likeliest mixture; a text that is neutral by its words moves nothing."""
    shares = np.linspace(0.01, 0.99, 99)
    likelihood = [float((weights * np.log(share + (1 - share) * expected_ratio)).sum()) for share in shares]
    return float(shares[int(np.argmax(likelihood))])
