"""Alternate probes and EM: what the fold networks see becomes chances for every concept and for none of them.

A network's features are its own, so each network's probe is fitted and judged among the rows that this network never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.methods.blocks import Columns
from tasks.methods.networks import FoldOutput
from tasks.methods.posterior import NO_SENSES, Beliefs, first_image_log_probs, infer, taught
from tasks.methods.probes import out_of_fold_log_probs
from tasks.methods.text_evidence import Texts, WordModel


@dataclass(frozen=True)
class FusionSettings:
    """How often probes and EM alternate, and the strength of what each is told before any data."""

    n_rounds: int
    n_steps: int
    transition_strength: float
    smoothing: float
    first_empty_share: float
    l2: float
    probe_steps: int
    n_subfolds: int


def fuse(
    outputs: list[FoldOutput],
    given: np.ndarray,
    texts: Texts,
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    n_concepts: int,
    settings: FusionSettings,
    reviewed: np.ndarray | None = None,
    earlier: Sequence[FoldOutput] = (),
    senses: np.ndarray = NO_SENSES,
) -> Beliefs:
    """Beliefs about every row from the networks' outputs, the given concepts and the texts.

    groups (n,) int: copies share one and are never parted between a probe's fit and its judgement; weights (n,): 0 for rows that must
    shape nothing. Outputs have a target for each of n_concepts concepts and of the other senses of their words (senses (S,) int: whose),
    and after a first round one more, which is none of them. reviewed (n,) int: the
    concept that a person named, -1 = nobody did: EM and probes learn it. `earlier` are outputs of earlier rounds, of any targets: the
    probes on their features join in, for networks that were trained apart err apart.
    """
    n = len(given)
    log_probs = gather(outputs, [output.log_probs for output in outputs], n)
    if log_probs.shape[1] == n_concepts + len(senses):
        log_probs = first_image_log_probs(log_probs, weights > 0)
    beliefs = _infer(log_probs, given, texts, weights, settings, reviewed, senses)
    for _ in range(settings.n_rounds):
        believed = taught(beliefs.posterior, reviewed)
        everyone = [*outputs, *earlier]
        judged = [_judge(output, believed, beliefs, weights, groups, settings) for output in everyone]
        log_probs = np.log(np.maximum(gather(everyone, judged, n), 1e-9))
        beliefs = _infer(log_probs, given, texts, weights, settings, reviewed, senses)
    return beliefs


def gather(outputs: Sequence[FoldOutput], values: list[np.ndarray], n: int) -> np.ndarray:
    """(n, ...) float64: each row's value, the mean of the networks that judged it."""
    total = np.zeros((n, *values[0].shape[1:]))
    count = np.zeros(n)
    for output, value in zip(outputs, values, strict=True):
        total[output.rows] += value
        count[output.rows] += 1
    return total / np.maximum(count, 1).reshape(-1, *[1] * (total.ndim - 1))


def word_chances(word_probs: np.ndarray, words: WordModel, prior: np.ndarray) -> np.ndarray:
    """(m, n_states) log chances of the states by the words that a network reads off an image."""
    states = words.counts / words.counts.sum(1, keepdims=True) * prior[:, None]
    return np.asarray(np.log(np.maximum(word_probs @ (states / states.sum(0)).T, 1e-9)))


def _judge(
    output: FoldOutput, believed: np.ndarray, beliefs: Beliefs, weights: np.ndarray, groups: np.ndarray, settings: FusionSettings
) -> np.ndarray:
    rows = output.rows
    parts = [output.features, output.log_probs]
    if output.word_probs.shape[1]:
        parts.append(word_chances(output.word_probs, beliefs.words, beliefs.prior))
    subfolds = np.where(weights[rows] > 0, groups[rows] % settings.n_subfolds, -1)
    targets = believed[rows].astype(np.float32)
    judged = out_of_fold_log_probs(Columns(*parts), targets, weights[rows], subfolds, l2=settings.l2, n_steps=settings.probe_steps)
    return np.asarray(np.exp(judged))


def _infer(
    log_probs: np.ndarray,
    given: np.ndarray,
    texts: Texts,
    weights: np.ndarray,
    settings: FusionSettings,
    reviewed: np.ndarray | None,
    senses: np.ndarray,
) -> Beliefs:
    return infer(
        log_probs,
        given,
        texts,
        weights,
        n_steps=settings.n_steps,
        transition_strength=settings.transition_strength,
        smoothing=settings.smoothing,
        first_empty_share=settings.first_empty_share,
        reviewed=reviewed,
        senses=senses,
    )
