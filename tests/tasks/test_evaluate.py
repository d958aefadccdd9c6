"""The stage on three tiny models and an encoder that knows colours."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import tasks.evaluate
from tasks.contracts.predictions import CONTRACT
from tasks.core.errors import SluiceError
from tasks.core.params import SharedParams
from tasks.core.settings import Settings
from tasks.core.tables import Artifact, Sink, Source
from tasks.evaluate import EvaluateParams, TunedHeadParams, evaluate
from tasks.methods.backbones import build_network
from tasks.methods.checkpoints import write_model

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 210)}
PARAMS = EvaluateParams(
    in_domain="in_domain_test", near_domain=["near_domain"], n_bins=10, n_neighbors=3, penalties=[1e-3, 1e-1], held_out_share=0.25,
    max_iterations=50, prompts=["{}", "a {} thing"], retrieval_depths=[1, 5], retrieval_pictures=20, confidence=0.95, n_threads=1,
    out_of_domain=["sketches"], open_set=["others"], shots=[1, 3], draws=2, probe_penalty=0.01, n_folds=3,
    tuned_head=TunedHeadParams(epochs=2, batch_size=16, learning_rate=0.003, strengths=(1.0, 0.04, 0.001)),
)  # fmt: skip


class Colours:
    """An encoder whose space is the mean colour; words it doesn't know are grey."""

    image_size = 4

    def encode_images(self, pictures: np.ndarray) -> np.ndarray:
        return self._unit(pictures.mean((1, 2)))

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        found = [next((colour for name, colour in COLOURS.items() if name in text), (1, 1, 1)) for text in texts]
        return self._unit(np.array(found, np.float64))

    def _unit(self, values: np.ndarray) -> np.ndarray:
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def write_set(folder: Path, name: str, n: int, seed: int, called: dict[str, str] | None = None) -> None:
    """Pictures of the colours, under other names where `called` has them."""
    generator, names = np.random.default_rng(seed), list(COLOURS)
    images, concepts = [], []
    for number in range(n):
        concept = names[number % 3]
        picture = (np.array(COLOURS[concept]) + generator.normal(0, 25, (12, 12, 3))).clip(0, 255).astype(np.uint8)
        stream = BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        images.append(stream.getvalue())
        concepts.append((called or {}).get(concept, concept))
    texts = [f"a {concept} thing" if number % 2 else "" for number, concept in enumerate(concepts)]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"image": images, "alt_text": texts, "concept": concepts}), folder / f"{name}.parquet")


def write_tiny_model(folder: Path, seed: int, samples_seen: int = 100, **more: int) -> None:
    config = {"backbone": "resnet9-4", "concepts": sorted(COLOURS), "image_size": 16, "precision": "fp32", "fingerprint": "f"}
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    write_model(folder, build_network("resnet9-4", 3, seed=seed), config | {"metrics": {"samples_seen": samples_seen, "rows": 10, **more}})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tasks.evaluate, "load_encoder", lambda path, device: Colours())
    (tmp_path / "concepts").mkdir()
    concepts = "".join(f"  - {{name: {name}, definition: a colour}}\n" for name in COLOURS)
    (tmp_path / "concepts" / "colours.yaml").write_text(f"concepts:\n{concepts}")
    for name, seed in (("raw-0", 0), ("raw-1", 1), ("curated-0", 2), ("curated-1", 3)):
        write_tiny_model(tmp_path / "models" / name, seed)
    (tmp_path / "models" / "half-0").mkdir()  # killed before it was whole
    (tmp_path / "clean").mkdir()
    return tmp_path


def run(folder: Path) -> tuple[dict[str, Any], pa.Table]:
    where: dict[str, Any] = {"contract": CONTRACT, "root": folder / "predictions"}
    artifacts = [Artifact(folder / name) for name in ("models", "encoder", "concepts", "clean")]
    shared = SharedParams(seed=0)
    sinks = Sink(**where), Artifact(folder / "results.jsonl")
    metrics = evaluate(*artifacts, *sinks, ["raw", "curated", "half"], [0, 1], PARAMS, shared, Settings(device="cpu"))
    return metrics, Source(**where).table()


def test_every_figure_of_every_model(workspace: Path) -> None:
    write_set(workspace / "clean", "in_domain_test", 30, 0)
    write_set(workspace / "clean", "near_domain_train", 60, 1)
    write_set(workspace / "clean", "near_domain_test", 30, 2)
    write_set(workspace / "clean", "sketches", 12, 3)
    write_set(workspace / "clean", "others", 12, 4, called={"red": "car", "green": "tree", "blue": "blue"})
    metrics, table = run(workspace)
    assert metrics["skipped"] == []
    assert {arm: sorted(seeds) for arm, seeds in metrics["arms"].items()} == {"raw": ["0", "1"], "curated": ["0", "1"]}
    figures = metrics["arms"]["raw"]["0"]
    assert figures["near_domain"]["linear_probe"] > 0.9  # colours are easy, even for features of random weights
    assert figures["near_domain"]["nearest_neighbors"] > 0.9
    assert set(figures["near_domain"]) == {
        "linear_probe", "penalty", "nearest_neighbors", "few_shot_1", "few_shot_3", "tuned_head", "singular_value_entropy",
        "singular_value_largest_ratio",
    }  # fmt: skip
    assert set(figures["per_concept_accuracy"]) == set(COLOURS)
    assert set(figures["open_set"]["others"]) == {"auroc", "c_f1"}
    assert 0 <= figures["out_of_domain"]["sketches"] <= 1
    assert figures["clean_errors"]["in_doubt"] <= 3
    assert [row["arm"] for row in metrics["bought"]] == ["curated", "raw"]
    assert metrics["bought"][0]["gain"] == metrics["gain"]["in_domain_accuracy"]["curated"]
    lines = [json.loads(line) for line in (workspace / "results.jsonl").read_text().splitlines()]
    assert [line["key"] for line in lines] == ["in_domain_test", "sketches"] * 4 + ["retrieval"]
    assert lines[4]["model"] == "raw-0"
    assert lines[4]["metrics"]["acc1"] == pytest.approx(figures["in_domain_accuracy"])
    rows = table.filter((pa.compute.field("arm") == "raw") & (pa.compute.field("seed") == 0)).to_pylist()
    assert np.mean([row["concept"] == row["predicted_concept"] for row in rows]) == pytest.approx(figures["in_domain_accuracy"])
    assert table.num_rows == 4 * 30
    gain = metrics["gain"]["in_domain_accuracy"]["curated"]
    means = [np.mean([metrics["arms"][arm][seed]["in_domain_accuracy"] for seed in "01"]) for arm in ("raw", "curated")]
    assert gain["mean"] == pytest.approx(means[1] - means[0])
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert metrics["gain"]["near_domain_linear_probe"]["curated"]["seeds"] == 2
    assert metrics["sentence"].startswith("Curation ")


def test_the_encoder_is_judged_by_zero_shot_and_retrieval(workspace: Path) -> None:
    write_set(workspace / "clean", "in_domain_test", 30, 0)
    encoder = run(workspace)[0]["encoder"]
    assert encoder == {
        "zero_shot_accuracy": 1.0,
        "retrieval_pictures": 15,
        "image_to_text_recall_1": 1.0,
        "text_to_image_recall_1": 1.0,
        "image_to_text_recall_5": 1.0,
        "text_to_image_recall_5": 1.0,
    }


def test_missing_sets_are_skipped_with_a_line_each(workspace: Path) -> None:
    metrics, table = run(workspace)
    assert len(metrics["skipped"]) == 4
    assert metrics["skipped"][2].startswith("sketches: no such clean set in ")
    assert metrics["skipped"][0].startswith("in_domain_test: no such clean set in ")
    assert "lacks near_domain_train or near_domain_test" in metrics["skipped"][1]
    assert table.num_rows == 0
    assert metrics["sentence"].startswith("What curation bought is not known")


def test_samples_of_a_start_are_told_apart_from_the_budget(workspace: Path) -> None:
    write_tiny_model(workspace / "models" / "half-1", 5, start_samples_seen=40)
    arms = run(workspace)[0]["arms"]
    assert arms["half"]["1"] == {"samples_seen": 100, "rows": 10, "start_samples_seen": 40}
    assert "start_samples_seen" not in arms["raw"]["0"]


def test_unequal_budgets_are_refused(workspace: Path) -> None:
    write_tiny_model(workspace / "models" / "half-1", 5, samples_seen=999)
    with pytest.raises(SluiceError, match=r"the models saw different numbers of samples \(.*half-1: 999.*\): run `dvc repro pretrain`"):
        run(workspace)
