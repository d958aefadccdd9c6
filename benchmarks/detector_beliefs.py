"""What the EM believes of the samples over linear probes, for benchmarks.detectors: with the other senses that pictures and texts show."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from benchmarks.detector_tables import Loaded
from tasks.methods.fusion import FusionSettings
from tasks.methods.posterior import NO_SENSES, Beliefs
from tasks.methods.rounds import first_targets, probe_rounds
from tasks.methods.senses import Rivals, other_senses
from tasks.methods.text_evidence import Texts, read_texts
from tasks.score_rows import named_words, no_concepts


class Believed(NamedTuple):
    """texts as bags of words; beliefs over the concepts, other senses of words and none; plain: those of an EM that knows of no senses."""

    texts: Texts
    beliefs: Beliefs
    plain: Beliefs


def believe(loaded: Loaded, settings: dict[str, Any]) -> Believed:
    """Probes and EM, as the stage `score` has them with `predictor: probe`."""
    s, em = loaded.samples, settings["em"]
    fusion = FusionSettings(
        em["rounds"], em["steps"], em["transition_strength"], em["smoothing"], em["first_empty_share"],
        settings["l2"], settings["probe_steps"], settings["subfolds"],
    )  # fmt: skip

    def bags(senses: np.ndarray) -> Texts:
        counts = {"min_count": em["min_word_count"], "start_count": em["concept_word_count"]}
        return read_texts(loaded.alt_texts, s.weights, named_words(loaded.known, senses), **counts)

    def judged(targets: np.ndarray, texts: Texts, fusion: FusionSettings, senses: np.ndarray) -> Beliefs:
        return probe_rounds(s.embeddings, targets, s.folds, s.given, texts, s.weights, s.groups, fusion=fusion, senses=senses)

    texts, targets = bags(NO_SENSES), first_targets(s.given, loaded.matched)
    first = judged(targets, texts, replace(fusion, n_rounds=1), NO_SENSES)
    apart = no_concepts(loaded.rival_names, loaded.known)
    rivals = Rivals(loaded.text_embeddings, loaded.has_text, loaded.text_prototypes, loaded.rivals[apart], loaded.rival_of[apart])
    senses = other_senses(s.embeddings, s.given, first.posterior.argmax(1), s.weights, rivals, **settings["senses"])
    plain = judged(targets, texts, fusion, NO_SENSES)
    if not len(senses.concepts):
        return Believed(texts, plain, plain)
    texts = bags(senses.concepts)
    return Believed(texts, judged(first_targets(s.given, loaded.matched, None, senses), texts, fusion, senses.concepts), plain)
