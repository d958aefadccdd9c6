"""Evaluate: what curation bought, out of every trained model, the encoder and the clean test sets.

Missing clean sets are listed under `skipped` in the metrics, with what they would have shown.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.core.concepts import load_concepts
from tasks.core.errors import SluiceError
from tasks.core.files import write_atomically
from tasks.core.params import Params, SharedParams
from tasks.core.settings import Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink
from tasks.methods.checkpoints import read_config, read_model
from tasks.methods.clean_sets import CleanSet, read_clean_set
from tasks.methods.clip import load_encoder
from tasks.methods.gains import as_figures, compare_arms, gain_sentence
from tasks.methods.inference import deterministic
from tasks.methods.judgement import (
    Model,
    doubt_figures,
    encoder_figures,
    encoder_lines,
    in_domain_figures,
    near_domain_figures,
    open_set_figures,
)
from tasks.methods.metrics import accuracy
from tasks.methods.result_lines import classification_line
from tasks.methods.shares import arm_table

BASELINE, TREATED = "raw", "curated"
log = logging.getLogger(__name__)


class TunedHeadParams(Params):
    """NMTune's head on the near-domain features; `strengths` of its three terms: consistency, covariance, dominant singular value."""

    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    strengths: tuple[float, float, float] = Field(strict=False)


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
    out_of_domain: list[str]
    open_set: list[str]
    shots: list[Annotated[int, Field(ge=1)]]
    draws: int = Field(ge=1)
    probe_penalty: float = Field(gt=0)
    n_folds: int = Field(ge=2)
    tuned_head: TunedHeadParams
    n_threads: int = Field(ge=1)


def evaluate(
    models: Artifact,
    encoder: Artifact,
    concepts: Artifact,
    clean: Artifact,
    predictions: Sink,
    results: Artifact,
    arms: list[str],
    seeds: list[int],
    params: EvaluateParams,
    shared: SharedParams,
    settings: Settings,
) -> Metrics:
    """Judge the model of every arm and seed, and the encoder; write the models' predictions in domain."""
    device = settings.torch_device()
    try:
        sets = read_sets(clean.path, params)
        with deterministic(params.n_threads, device):
            judged = [
                judge(models.path / f"{arm}-{seed}", sets, params, shared.seed, device)
                for arm in sorted(arms)
                for seed in sorted(seeds)
                if read_config(models.path / f"{arm}-{seed}") is not None
            ]
            zero_shot = {}
            if sets.in_domain:
                known = [(concept.name, concept.synonyms) for concept in load_concepts(concepts.path)]
                how = {"prompts": params.prompts, "depths": params.retrieval_depths, "n_pictures": params.retrieval_pictures}
                zero_shot = encoder_figures(load_encoder(encoder.path, device=device), sets.in_domain, known, **how)  # type: ignore[arg-type]
    except ValueError as error:
        raise SluiceError(str(error)) from None
    tables = [one.table for one in judged if one.table is not None]
    predictions.write_whole(pa.concat_tables(tables) if tables else predictions.contract.schema.empty_table())
    lines = [line for one in judged for line in one.lines] + encoder_lines(zero_shot)
    with write_atomically(results.path) as path:
        path.write_text("".join(f"{line}\n" for line in lines))
    found: dict[str, dict[str, Any]] = {}
    for one in judged:
        found.setdefault(one.arm, {})[str(one.seed)] = one.figures
    check_budgets(found)
    return {"arms": found, "encoder": zero_shot, "skipped": sets.skipped, **compare(found, params)}


@dataclass(frozen=True)
class Sets:
    """The clean sets that were found, by their part in the evaluation, and a line for each that is missing."""

    in_domain: CleanSet | None
    near_domain: dict[str, tuple[CleanSet, CleanSet]]
    out_of_domain: dict[str, CleanSet]
    open_set: dict[str, CleanSet]
    skipped: list[str]


def read_sets(folder: Path, params: EvaluateParams) -> Sets:
    """All clean sets that the params name; near-domain ones need both halves."""
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
    others = {name: read_clean_set(folder, name) for name in (*params.out_of_domain, *params.open_set)}
    skipped += [f"{name}: no such clean set in {folder}" for name, found in others.items() if found is None]
    for line in skipped:
        log.warning("skipped %s", line)
    out_of_domain, open_set = (
        {name: found for name in names if (found := others[name]) is not None} for names in (params.out_of_domain, params.open_set)
    )
    return Sets(in_domain, near_domain, out_of_domain, open_set, skipped)


@dataclass(frozen=True)
class Judged:
    """What one model came to: figures, its rows of `predictions`, and its lines of results.jsonl."""

    arm: str
    seed: int
    figures: dict[str, Any]
    table: pa.Table | None
    lines: list[str]


def judge(folder: Path, sets: Sets, params: EvaluateParams, seed: int, device: str) -> Judged:
    """Run one trained model over all sets."""
    arm, _, trained_with = folder.name.rpartition("-")
    network, config = read_model(folder)
    model = Model(network.to(device), config["concepts"], config["image_size"], config["precision"], device)
    told = ("samples_seen", "rows", "start_samples_seen")  # the last one of arms with a start, beside their budget
    figures: dict[str, Any] = {name: config["metrics"][name] for name in told if name in config["metrics"]}
    table, lines = None, []
    if sets.in_domain is not None:
        probabilities = model.predict(sets.in_domain)
        figures |= in_domain_figures(probabilities, sets.in_domain.classes(model.concepts), model.concepts, n_bins=params.n_bins)
        figures["clean_errors"] = doubt_figures(
            model, sets.in_domain, probabilities, n_folds=params.n_folds, penalty=params.probe_penalty,
            max_iterations=params.max_iterations, seed=seed,
        )  # fmt: skip
        table = prediction_table(probabilities, sets.in_domain, model.concepts, arm, int(trained_with))
        lines.append(classification_line(folder.name, params.in_domain, probabilities, sets.in_domain.classes(model.concepts)))
        for name, others in sets.open_set.items():
            figures.setdefault("open_set", {})[name] = open_set_figures(model, probabilities, sets.in_domain, others)
    for name, clean in sets.out_of_domain.items():
        probabilities, truth = model.predict(clean), clean.classes(model.concepts)
        figures.setdefault("out_of_domain", {})[name] = accuracy(probabilities.argmax(1), truth)
        lines.append(classification_line(folder.name, name, probabilities, truth))
    for name, halves in sets.near_domain.items():
        figures[name] = near_domain_figures(
            model, *halves,
            penalties=params.penalties, held_out_share=params.held_out_share, max_iterations=params.max_iterations,
            n_neighbors=params.n_neighbors, shots=params.shots, draws=params.draws, probe_penalty=params.probe_penalty,
            tuned_head=params.tuned_head.model_dump(), seed=seed,
        )  # fmt: skip
    log.info("%s: %s", folder.name, ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if isinstance(v, float)))
    return Judged(arm, int(trained_with), figures, table, lines)


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
    return {"gain": gain, "sentence": words, "bought": bought(arms, params)}


def bought(arms: Mapping[str, Mapping[str, Mapping[str, Any]]], params: EvaluateParams) -> list[dict[str, Any]]:
    """Accuracy against the share of the crawl that each arm keeps: a row per arm that was judged in domain."""
    accuracies = {arm: {int(seed): value for seed, found in seeds.items() if (value := _at(found, ("in_domain_accuracy",))) is not None}
                  for arm, seeds in arms.items()}  # fmt: skip
    accuracies = {arm: values for arm, values in accuracies.items() if values}
    rows = {arm: max(found["rows"] for found in arms[arm].values()) for arm in accuracies}
    return arm_table(accuracies, rows, baseline=BASELINE, confidence=params.confidence)


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
