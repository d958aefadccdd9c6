"""Judge whether image and text belong together, for benchmarks.detectors: by their cosine, by their contrastive loss, by PC2."""

from collections.abc import Callable

import numpy as np

from benchmarks.detector_scores import Signals
from benchmarks.detector_tables import Loaded
from tasks.methods.noisy_correspondence import WITHOUT_TEXT, PairSettings, judge_pairs, pair_losses


def pair_methods(loaded: Loaded, settings: PairSettings) -> dict[str, Callable[[], Signals]]:
    """Every method by name; they say nothing of concepts, and are no part of the mean rank of all."""
    s, texts, told = loaded.samples, loaded.text_embeddings, loaded.has_text

    def cosine() -> Signals:
        return Signals(text=np.where(told, ((s.embeddings * texts).sum(1) + 1) / 2, WITHOUT_TEXT))

    def loss() -> Signals:
        found = np.full(len(told), WITHOUT_TEXT)
        found[told] = np.exp(-pair_losses(s.embeddings[told], texts[told], s.groups[told], settings=settings, seed=0))
        return Signals(text=found)

    def noisy_correspondence() -> Signals:
        found = judge_pairs(s.embeddings, texts, told, s.groups, s.neighbors, s.similarities, s.weights, s.folds, settings=settings, seed=0)
        return Signals(text=found.score)

    return {"pair_cosine": cosine, "pair_loss": loss, "noisy_correspondence": noisy_correspondence}
