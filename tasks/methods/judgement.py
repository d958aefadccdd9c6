"""Judge a model or an encoder on clean sets: figures out of its predictions and features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.methods.clean_errors import accuracy_without, clean_set_errors
from tasks.methods.clean_sets import CleanSet
from tasks.methods.encoder import Encoder
from tasks.methods.few_shot import few_shot_accuracy
from tasks.methods.inference import extract_features, predict
from tasks.methods.linear_probe import linear_probe
from tasks.methods.metrics import (
    accuracy,
    expected_calibration_error,
    nearest_neighbor_predictions,
    per_concept_accuracy,
    recall_at,
    reliability,
)
from tasks.methods.open_set import auroc, open_set_f1
from tasks.methods.result_lines import retrieval_line
from tasks.methods.spectra import largest_singular_value_ratio, singular_value_entropy
from tasks.methods.tuned_head import tuned_head_accuracy


@dataclass(frozen=True)
class Model:
    """A trained network and how it is run."""

    network: Any
    concepts: list[str]
    image_size: int
    precision: str
    device: str

    def predict(self, clean: CleanSet) -> np.ndarray:
        """Probabilities (n, k) float32 of a set's pictures."""
        return predict(self.network, clean.pictures(self.image_size), precision=self.precision, device=self.device)

    def features(self, clean: CleanSet) -> np.ndarray:
        """Features (n, width) float32 of a set's pictures."""
        return extract_features(self.network, clean.pictures(self.image_size), precision=self.precision, device=self.device)


def in_domain_figures(probabilities: np.ndarray, truth: np.ndarray, concepts: Sequence[str], *, n_bins: int) -> dict[str, Any]:
    """Accuracy and calibration. A picture of a concept that the model was never trained on (truth -1) counts as wrong."""
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    right = predicted == truth
    return {
        "in_domain_accuracy": accuracy(predicted, truth),
        "per_concept_accuracy": per_concept_accuracy(predicted, truth, concepts),
        "expected_calibration_error": expected_calibration_error(confidence, right, n_bins=n_bins),
        "reliability": reliability(confidence, right, n_bins=n_bins),
    }


def doubt_figures(
    model: Model, clean: CleanSet, probabilities: np.ndarray, *, n_folds: int, penalty: float, max_iterations: int, seed: int
) -> dict[str, Any]:
    """How many of the set's own labels are in doubt, by probes on the model's features, and the accuracy without those pictures."""
    names = sorted(set(clean.concepts))
    how: dict[str, Any] = {"n_folds": n_folds, "penalty": penalty, "max_iterations": max_iterations, "seed": seed}
    doubted = clean_set_errors(model.features(clean), clean.classes(names), **how)
    without = accuracy_without(probabilities.argmax(1), clean.classes(model.concepts), doubted)
    return {"in_doubt": int(doubted.sum()), "accuracy_without": without}


def open_set_figures(model: Model, probabilities: np.ndarray, clean: CleanSet, others: CleanSet) -> dict[str, float]:
    """AUROC of confidence and C-F1 between a set of the model's concepts and the pictures of another one that show none of them.

    Raises ValueError where the other set has no such picture.
    """
    unknown = np.array([concept not in model.concepts for concept in others.concepts])
    if not unknown.any():
        raise ValueError(f"open set '{others.name}' shows nothing but concepts that the models know: name another one")
    outside = model.predict(others)[unknown]
    confidence = np.concatenate([probabilities.max(1), outside.max(1)])
    predicted = np.concatenate([probabilities.argmax(1), outside.argmax(1)])
    classes = np.concatenate([clean.classes(model.concepts), np.full(len(outside), -1)])
    inside = np.arange(len(classes)) < len(probabilities)
    return {
        "auroc": auroc(confidence.astype(np.float64), inside),
        "c_f1": open_set_f1(predicted, confidence, classes, n_classes=len(model.concepts)),
    }


def near_domain_figures(
    model: Model,
    train: CleanSet,
    test: CleanSet,
    *,
    penalties: Sequence[float],
    held_out_share: float,
    max_iterations: int,
    n_neighbors: int,
    shots: Sequence[int],
    draws: int,
    probe_penalty: float,
    tuned_head: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """What the features are worth on other concepts: linear probe, neighbours, few shots, NMTune's head, and how even their spectrum is."""
    names = sorted(set(train.concepts))
    given, held_out = model.features(train), model.features(test)
    classes, truth = train.classes(names), test.classes(names)
    how: dict[str, Any] = {"max_iterations": max_iterations, "seed": seed}
    probe = linear_probe(given, classes, held_out, truth, penalties=penalties, held_out_share=held_out_share, **how)
    neighbors = nearest_neighbor_predictions(given, classes, held_out, n_neighbors=n_neighbors)
    found = {"linear_probe": probe.accuracy, "penalty": probe.penalty, "nearest_neighbors": accuracy(neighbors, truth)}
    for n in shots:
        found[f"few_shot_{n}"] = few_shot_accuracy(given, classes, held_out, truth, shots=n, draws=draws, penalty=probe_penalty, **how)
    if tuned_head["epochs"]:
        found["tuned_head"] = tuned_head_accuracy(given, classes, held_out, truth, **tuned_head, seed=seed)
    spectrum = {"entropy": singular_value_entropy(held_out), "largest_ratio": largest_singular_value_ratio(held_out)}
    return {**found, **{f"singular_value_{name}": value for name, value in spectrum.items()}}


def encoder_figures(
    encoder: Encoder,
    clean: CleanSet,
    concepts: Sequence[tuple[str, Sequence[str]]],
    *,
    prompts: Sequence[str],
    depths: Sequence[int],
    n_pictures: int,
) -> dict[str, Any]:
    """Zero-shot accuracy by the concepts' names and synonyms, and retrieval between the first pictures with a text and their texts."""
    prototypes = []
    for name, synonyms in concepts:
        mean = encoder.encode_texts([prompt.format(word) for prompt in prompts for word in (name, *synonyms)]).mean(0)
        prototypes.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    embeddings = encoder.encode_images(clean.pictures(encoder.image_size))
    predicted = (embeddings @ np.stack(prototypes).T).argmax(1)
    figures: dict[str, Any] = {"zero_shot_accuracy": accuracy(predicted, clean.classes([name for name, _ in concepts]))}
    with_text = [place for place, text in enumerate(clean.texts) if text.strip()][:n_pictures]
    if len(with_text) > 1:
        figures |= {"retrieval_pictures": len(with_text), **_retrieval(encoder, clean, embeddings[with_text], with_text, depths)}
    return figures


def encoder_lines(figures: Mapping[str, Any]) -> list[str]:
    """The encoder's line of results.jsonl, if it was judged by retrieval."""
    recalls = {name: value for name, value in figures.items() if "_recall_" in name}
    return [retrieval_line("encoder", "retrieval", recalls)] if recalls else []


def _retrieval(encoder: Encoder, clean: CleanSet, images: np.ndarray, places: list[int], depths: Sequence[int]) -> dict[str, float]:
    """Recall both ways. Equal texts are one text, and any picture that carries it is a hit."""
    carried = np.array([clean.texts[place] for place in places], object)
    texts = np.unique(carried)
    embeddings = encoder.encode_texts(list(texts))
    found = {}
    for k in depths:
        found[f"image_to_text_recall_{k}"] = recall_at(images, embeddings, carried, texts, k=k)
        found[f"text_to_image_recall_{k}"] = recall_at(embeddings, images, texts, carried, k=k)
    return found
