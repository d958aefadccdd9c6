"""Evaluate: what curation bought, out of every trained model, the encoder and the clean test sets.

Missing clean sets are listed under `skipped` in the metrics, with what they would have shown.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.core.concepts import Concept, load_concepts
from tasks.core.errors import SluiceError
from tasks.core.params import Params, SharedParams
from tasks.core.settings import Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink
from tasks.methods.checkpoints import read_config, read_model
from tasks.methods.clean_sets import CleanSet, read_clean_set
from tasks.methods.clip import Encoder, load_encoder
from tasks.methods.gains import as_figures, compare_arms, gain_sentence
from tasks.methods.inference import deterministic, extract_features, predict
from tasks.methods.linear_probe import linear_probe
from tasks.methods.metrics import (
    accuracy,
    expected_calibration_error,
    nearest_neighbor_predictions,
    per_concept_accuracy,
    recall_at,
    reliability,
)

BASELINE, TREATED = "raw", "curated"
log = logging.getLogger(__name__)


class EvaluateParams(Params):
    """Which clean sets, and how the figures are taken; see params.yaml for the reasons."""

    in_domain: str
    near_domain: list[str]
    n_bins: int = Field(ge=2)
    n_neighbors: int = Field(ge=1)
    penalties: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    held_out_share: float = Field(gt=0, lt=1)
    max_iterations: int = Field(ge=1)
    prompts: list[str] = Field(min_length=1)
    retrieval_depths: list[Annotated[int, Field(ge=1)]]
    retrieval_pictures: int = Field(ge=2)
    confidence: float = Field(gt=0, lt=1)
    n_threads: int = Field(ge=1)


def evaluate(
    models: Artifact,
    encoder: Artifact,
    concepts: Artifact,
    clean: Artifact,
    predictions: Sink,
    arms: list[str],
    seeds: list[int],
    params: EvaluateParams,
    shared: SharedParams,
    settings: Settings,
) -> Metrics:
    """Judge the model of every arm and seed, and the encoder; write the models' predictions in domain."""
    device = settings.torch_device()
    try:
        in_domain, near_domain, skipped = read_sets(clean.path, params)
        with deterministic(params.n_threads, device):
            judged = [
                judge(models.path / f"{arm}-{seed}", in_domain, near_domain, params, shared.seed, device)
                for arm in sorted(arms)
                for seed in sorted(seeds)
                if read_config(models.path / f"{arm}-{seed}") is not None
            ]
            zero_shot = (
                judge_encoder(load_encoder(encoder.path, device=device), in_domain, load_concepts(concepts.path), params)
                if in_domain
                else {}
            )
    except ValueError as error:
        raise SluiceError(str(error)) from None
    tables = [table for _, _, _, table in judged if table is not None]
    predictions.write_whole(pa.concat_tables(tables) if tables else predictions.contract.schema.empty_table())
    found: dict[str, dict[str, Any]] = {}
    for arm, seed, figures, _ in judged:
        found.setdefault(arm, {})[str(seed)] = figures
    check_budgets(found)
    return {"arms": found, "encoder": zero_shot, "skipped": skipped, **compare(found, params)}


def read_sets(folder: Path, params: EvaluateParams) -> tuple[CleanSet | None, dict[str, tuple[CleanSet, CleanSet]], list[str]]:
    """The in-domain test set, the near-domain sets with both halves, and a line for each that is missing."""
    skipped = []
    in_domain = read_clean_set(folder, params.in_domain)
    if in_domain is None:
        skipped.append(f"{params.in_domain}: no such clean set in {folder}, so no in-domain, zero-shot and retrieval figures")
    near_domain = {}
    for name in params.near_domain:
        train, test = read_clean_set(folder, f"{name}_train"), read_clean_set(folder, f"{name}_test")
        if train is None or test is None:
            skipped.append(f"{name}: {folder} lacks {name}_train or {name}_test, so no linear probe and no nearest neighbours")
        else:
            near_domain[name] = (train, test)
    for line in skipped:
        log.warning("skipped %s", line)
    return in_domain, near_domain, skipped


def judge(
    folder: Path,
    in_domain: CleanSet | None,
    near_domain: Mapping[str, tuple[CleanSet, CleanSet]],
    params: EvaluateParams,
    seed: int,
    device: str,
) -> tuple[str, int, dict[str, Any], pa.Table | None]:
    """Arm, seed, figures and predictions of one trained model."""
    arm, _, trained_with = folder.name.rpartition("-")
    network, config = read_model(folder)
    network.to(device)
    how = {"precision": config["precision"], "device": device}
    figures: dict[str, Any] = {"samples_seen": config["metrics"]["samples_seen"], "rows": config["metrics"]["rows"]}
    table = None
    if in_domain is not None:
        probabilities = predict(network, in_domain.pictures(config["image_size"]), **how)
        figures |= in_domain_figures(probabilities, in_domain, config["concepts"], params)
        table = prediction_table(probabilities, in_domain, config["concepts"], arm, int(trained_with))
    for name, sets in near_domain.items():
        names = sorted(set(sets[0].concepts))
        train, test = (extract_features(network, one.pictures(config["image_size"]), **how) for one in sets)
        classes, truth = (one.classes(names) for one in sets)
        probe = linear_probe(
            train, classes, test, truth,
            penalties=params.penalties, held_out_share=params.held_out_share, max_iterations=params.max_iterations, seed=seed,
        )  # fmt: skip
        neighbors = nearest_neighbor_predictions(train, classes, test, n_neighbors=params.n_neighbors)
        figures[name] = {"linear_probe": probe.accuracy, "penalty": probe.penalty, "nearest_neighbors": accuracy(neighbors, truth)}
    log.info("%s: %s", folder.name, ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if isinstance(v, float)))
    return arm, int(trained_with), figures, table


def in_domain_figures(probabilities: np.ndarray, clean: CleanSet, concepts: list[str], params: EvaluateParams) -> dict[str, Any]:
    """Accuracy and calibration. A picture of a concept that the model was never trained on counts as wrong."""
    predicted, truth = probabilities.argmax(1), clean.classes(concepts)
    right, confidence = predicted == truth, probabilities.max(1)
    return {
        "in_domain_accuracy": accuracy(predicted, truth),
        "per_concept_accuracy": per_concept_accuracy(predicted, truth, concepts),
        "expected_calibration_error": expected_calibration_error(confidence, right, n_bins=params.n_bins),
        "reliability": reliability(confidence, right, n_bins=params.n_bins),
    }


def prediction_table(probabilities: np.ndarray, clean: CleanSet, concepts: list[str], arm: str, seed: int) -> pa.Table:
    """The rows of `predictions` that one model gives."""
    n, names = len(probabilities), np.array(concepts, object)
    columns = {
        "clean_set": pa.array([clean.name] * n),
        "picture_id": pa.array(clean.picture_ids()),
        "arm": pa.array([arm] * n),
        "seed": pa.array(np.full(n, seed, np.int64)),
        "concept": pa.array(clean.concepts),
        "predicted_concept": pa.array(names[probabilities.argmax(1)], pa.string()),
        "probability": pa.array(probabilities.max(1), pa.float32()),
    }
    return pa.table(columns)


def judge_encoder(encoder: Encoder, clean: CleanSet, concepts: list[Concept], params: EvaluateParams) -> dict[str, Any]:
    """Zero-shot accuracy by the concepts' names and synonyms, and retrieval between the first pictures with a text and their texts."""
    names = [concept.name for concept in concepts]
    prototypes = []
    for concept in concepts:
        texts = [prompt.format(word) for prompt in params.prompts for word in (concept.name, *concept.synonyms)]
        mean = encoder.encode_texts(texts).mean(0)
        prototypes.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    embeddings = encoder.encode_images(clean.pictures(encoder.image_size))
    predicted = (embeddings @ np.stack(prototypes).T).argmax(1)
    figures: dict[str, Any] = {"zero_shot_accuracy": accuracy(predicted, clean.classes(names))}
    with_text = [place for place, text in enumerate(clean.texts) if text.strip()][: params.retrieval_pictures]
    if len(with_text) > 1:
        figures |= {"retrieval_pictures": len(with_text), **retrieval(encoder, clean, embeddings[with_text], with_text, params)}
    return figures


def retrieval(encoder: Encoder, clean: CleanSet, images: np.ndarray, places: list[int], params: EvaluateParams) -> dict[str, float]:
    """Recall both ways. Equal texts are one text, and any picture that carries it is a hit."""
    carried = np.array([clean.texts[place] for place in places], object)
    texts = np.unique(carried)
    embeddings = encoder.encode_texts(list(texts))
    found = {}
    for k in params.retrieval_depths:
        found[f"image_to_text_recall_{k}"] = recall_at(images, embeddings, carried, texts, k=k)
        found[f"text_to_image_recall_{k}"] = recall_at(embeddings, images, texts, carried, k=k)
    return found


def compare(arms: Mapping[str, Mapping[str, Mapping[str, Any]]], params: EvaluateParams) -> dict[str, Any]:
    """`gain`: figure -> arm -> interval of its gain over the raw arm; `sentence`: what curation bought."""
    paths = [("in_domain_accuracy",), *((name, "linear_probe") for name in params.near_domain)]
    gain: dict[str, dict[str, Any]] = {}
    treated = None
    for path in paths:
        figures = {
            arm: {int(seed): value for seed, found in seeds.items() if (value := _at(found, path)) is not None}
            for arm, seeds in arms.items()
        }
        intervals = compare_arms({arm: seeds for arm, seeds in figures.items() if seeds}, baseline=BASELINE, confidence=params.confidence)
        gain["_".join(path)] = {arm: as_figures(interval) for arm, interval in intervals.items()}
        if path == paths[0]:
            treated = intervals.get(TREATED)
    seen = max((figures["samples_seen"] for seeds in arms.values() for figures in seeds.values()), default=0)
    words = gain_sentence(treated, arm=TREATED, baseline=BASELINE, samples_seen=seen, confidence=params.confidence)
    return {"gain": gain, "sentence": words}


def check_budgets(arms: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Raise SluiceError unless all models saw as many samples: else their difference is not what curation bought."""
    budgets = {f"{arm}-{seed}": figures["samples_seen"] for arm, seeds in arms.items() for seed, figures in seeds.items()}
    if len(set(budgets.values())) > 1:
        told = ", ".join(f"{name}: {seen:,}" for name, seen in budgets.items())
        raise SluiceError(f"the models saw different numbers of samples ({told}): run `dvc repro pretrain`, so that all have one budget")


def _at(figures: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = figures
    for key in path:
        if key not in found:
            return None
        found = found[key]
    return float(found)


if __name__ == "__main__":
    main(evaluate)
