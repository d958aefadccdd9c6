"""Run rounds: predictors that never saw a row judge it, EM weighs their word against concept and text, and the next round learns from that.

The predictor is a small network on pixels, or a linear probe on embeddings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.methods.fusion import FusionSettings, fuse, gather
from tasks.methods.networks import FoldOutput, NetworkSettings, out_of_fold_outputs
from tasks.methods.posterior import NO_SENSES, Beliefs, taught
from tasks.methods.probes import out_of_fold_log_probs
from tasks.methods.senses import Senses, split_targets
from tasks.methods.text_evidence import Texts


def first_targets(
    given: np.ndarray,
    matched: np.ndarray,
    reviewed: np.ndarray | None = None,
    senses: Senses | None = None,
) -> np.ndarray:
    """(n, K + S) float32: what a person named, else the given concept, else the prototypes' probabilities `matched` (n, K).

    given and reviewed (n,) int: number of the concept, -1 = none. Of a given concept whose word has another sense its chance goes there.
    """
    targets = matched.astype(np.float32)
    known = given >= 0
    targets[known] = np.eye(matched.shape[1], dtype=np.float32)[given[known]]
    targets = split_targets(targets, given, senses) if senses else targets
    return taught(targets, reviewed)


def network_rounds(
    images: np.ndarray,
    targets: np.ndarray,
    words: np.ndarray,
    folds: np.ndarray,
    given: np.ndarray,
    texts: Texts,
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    rounds: list[NetworkSettings],
    fusion: FusionSettings,
    seed: int,
    progress: Callable[[int], object] | None = None,
    reviewed: np.ndarray | None = None,
    senses: np.ndarray = NO_SENSES,
) -> tuple[Beliefs, np.ndarray]:
    """(beliefs, word_probs (n, n_words) float64) after one round of fold networks per entry of `rounds`.

    images (n, side, side, 3) uint8; targets (n, n_targets) of the first round: the concepts and the other senses of their words; later ones
    learn the beliefs of the round before, and the networks of all rounds so far judge together. weights (n,): 0 = learned by none of them.
    reviewed (n,) int: the concept that a person named, -1 = nobody did: it is learnt, and not the row's own score.
    senses (S,) int: the concept whose word each other sense shares.
    """
    n_concepts = targets.shape[1] - len(senses)
    earlier: list[FoldOutput] = []
    shaping = (weights > 0)[:, None]
    beliefs: Beliefs | None = None
    for number, settings in enumerate(rounds):
        learned = targets if beliefs is None else taught(beliefs.posterior, reviewed).astype(np.float32)
        outputs = out_of_fold_outputs(
            images, learned * shaping, words * shaping, folds, settings=settings, seed=seed + 100 * number, progress=progress
        )
        signals = (outputs, given, texts, weights, groups)
        beliefs = fuse(*signals, n_concepts=n_concepts, settings=fusion, reviewed=reviewed, earlier=earlier, senses=senses)
        earlier = [*earlier, *outputs]
    if beliefs is None:
        raise ValueError("no round of networks: give at least one number of epochs")
    return beliefs, gather(earlier, [output.word_probs for output in earlier], len(given))


def probe_rounds(
    features: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    given: np.ndarray,
    texts: Texts,
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    fusion: FusionSettings,
    reviewed: np.ndarray | None = None,
    senses: np.ndarray = NO_SENSES,
) -> Beliefs:
    """Beliefs by linear probes on features (n, d) that are the same for all folds, such as a pretrained encoder's."""
    log_probs = out_of_fold_log_probs(features, targets, weights, folds, l2=fusion.l2, n_steps=fusion.probe_steps)
    output = FoldOutput(np.arange(len(given)), log_probs, np.zeros((len(given), 0), np.float32), np.asarray(features, np.float32))
    n_concepts = targets.shape[1] - len(senses)
    return fuse([output], given, texts, weights, groups, n_concepts=n_concepts, settings=fusion, reviewed=reviewed, senses=senses)
