"""Each export, read by the library that it is for."""

import csv
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.cli import EXPORTS, main


@pytest.fixture(scope="module")
def exports(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One export of every kind."""
    top = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:
        for kind in EXPORTS:
            patch.chdir(finished)
            assert main(["export", kind, str(top / kind)]) == 0
    return top


@pytest.fixture(scope="module")
def kept(finished: Path) -> dict[str, dict[str, Any]]:
    """The kept samples by id."""
    rows = pq.read_table(finished / "data/curated/samples").to_pylist()
    return {row["sample_id"]: row for row in rows if row["keep"]}


def test_datacomp(exports: Path, kept: dict[str, Any]) -> None:
    subset = np.load(exports / "datacomp/subset.npy")
    assert subset.dtype == np.dtype("u8,u8")
    assert [f"{high:016x}{low:016x}" for high, low in subset.tolist()] == sorted(kept)
    names = pq.read_schema(exports / "datacomp/metadata.parquet").names
    assert names == ["uid", "url", "text", "sha256", "original_width", "original_height"]


@pytest.mark.filterwarnings("ignore")
def test_open_clip_reads_the_tars(exports: Path, kept: dict[str, Any]) -> None:
    pytest.importorskip("webdataset", reason="webdataset, which open_clip's training reads tars with, is not installed")
    import torch
    from open_clip_train.data import get_dataset_size, get_wds_dataset

    tars = exports / "webdataset" / "00000.tar"
    assert get_dataset_size(str(tars)) == (len(kept), 1)
    texts: list[str] = []

    def tokenize(text: str) -> torch.Tensor:
        texts.append(text)
        return torch.zeros(1, 4)

    def preprocess(image: Any) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image.convert("RGB").resize((8, 8))).copy())

    names = {"train_data": None, "val_data": str(tars), "dataset_resampled": False, "seed": 0, "batch_size": 16, "workers": 0}
    more = {"world_size": 1, "train_num_samples": None, "val_num_samples": None, "train_data_upsampling_factors": None}
    data = get_wds_dataset(Namespace(**names, **more), preprocess, is_train=False, tokenizer=tokenize)
    batches = list(data.dataloader)
    assert sum(len(images) for images, _ in batches) == len(kept)
    assert batches[0][0].shape[1:] == (8, 8, 3)
    assert sorted(texts) == sorted(row["alt_text"] for row in kept.values())


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_loads_the_folder(exports: Path, kept: dict[str, Any], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    loaded = datasets.load_dataset(str(exports / "huggingface"), cache_dir=str(tmp_path))
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    rows = {row["sample_id"]: row for split in loaded.values() for row in split}
    assert set(rows) == set(kept)
    for sample, row in list(rows.items())[:20]:
        assert row["image"].size == (kept[sample]["width"], kept[sample]["height"])
        assert (row["concept"], row["text"]) == (kept[sample]["curated_concept"], kept[sample]["alt_text"])
    assert loaded["train"].num_rows == sum(row["split"] == "train" for row in kept.values())


@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_gives_the_records(exports: Path, kept: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    dataset = mlc.Dataset(exports / "croissant/croissant.json")
    issues = dataset.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    assert dataset.metadata.data_collection.startswith("Images were fetched")
    records = list(dataset.records("train-00000-of-00001"))
    first = records[0]
    sample = kept[first["train-00000-of-00001/sample_id"].decode()]
    assert first["train-00000-of-00001/image"].size == (sample["width"], sample["height"])
    assert len(records) == sum(row["split"] == "train" for row in kept.values())
    document = json.loads((exports / "croissant/croissant.json").read_text())
    assert document["prov:wasDerivedFrom"][0]["@id"] == "crawl/demo-1"
    assert "ingest demo-1" in [run["prov:label"] for run in document["prov:wasGeneratedBy"]]


def test_clip_retrieval(exports: Path, kept: dict[str, Any], finished: Path) -> None:
    import faiss

    folder = exports / "clip-retrieval"
    images, texts = np.load(folder / "img_emb/img_emb_0.npy"), np.load(folder / "text_emb/text_emb_0.npy")
    rows = pq.read_table(folder / "metadata/metadata_0.parquet").to_pylist()
    assert images.dtype == texts.dtype == np.float16
    assert len(images) == len(texts) == len(rows) == len(kept)
    assert [row["caption"] for row in rows] == [kept[row["sample_id"]]["alt_text"] for row in rows]
    index = faiss.read_index(str(folder / "image.index"))
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    scores, found = index.search(images.astype(np.float32), 1)
    assert scores.ravel() == pytest.approx(1.0, abs=1e-2)
    same = (images[found.ravel()] == images).all(axis=1)
    assert same.mean() > 0.9  # the others are near-copies within float32's last digits
    ids = pq.read_table(finished / "data/index/rows.parquet")["sample_id"].to_pylist()
    vectors = np.load(finished / "data/index/vectors.npy")
    assert (vectors[[ids.index(row["sample_id"]) for row in rows]] == images).all()


def test_cleanlab(exports: Path, finished: Path) -> None:
    issues = pq.read_table(exports / "cleanlab/issues.parquet").to_pandas()
    samples = {row["sample_id"]: row for row in pq.read_table(finished / "data/curated/samples").to_pylist()}
    assert len(issues) == sum(row["status"] == "ok" for row in samples.values())
    for issue in ("label", "outlier", "near_duplicate"):
        assert issues[f"is_{issue}_issue"].dtype == bool
        assert issues[f"{issue}_score"].between(0, 1).all()
    assert issues["is_label_issue"].tolist() == [samples[sample]["verdict"] == "wrong_concept" for sample in issues["sample_id"]]
    row = int(issues["is_near_duplicate_issue"].idxmax())
    for other in issues["near_duplicate_sets"][row]:
        assert row in issues["near_duplicate_sets"][other]
    with (exports / "cleanlab/issue_summary.csv").open() as file:
        summary = list(csv.DictReader(file))
    assert [found["issue_type"] for found in summary] == ["label", "outlier", "near_duplicate"]
    assert int(summary[0]["num_issues"]) == issues["is_label_issue"].sum()


def test_fiftyone(exports: Path, kept: dict[str, Any]) -> None:
    document = json.loads((exports / "fiftyone/labels.json").read_text())
    pictures = {path.stem for path in (exports / "fiftyone/data").iterdir()}
    assert pictures == set(document["labels"]) == set(kept)
    for sample, label in document["labels"].items():
        assert document["classes"][label["label"]] == kept[sample]["curated_concept"]
        assert label["attributes"]["url"] == kept[sample]["url"]
