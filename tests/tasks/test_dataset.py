"""The Python door: frames, tables, torch, Hugging Face, from anywhere."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import SluiceError
from tasks.dataset import Dataset, open_dataset


@pytest.fixture
def dataset(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.chdir(tmp_path)
    return open_dataset(finished)


def test_frames_and_tables_hold_the_kept_samples(dataset: Dataset, finished: Path) -> None:
    samples = pq.read_table(finished / "data/curated/samples").to_pandas()
    frame = dataset.frame()
    assert set(frame.sample_id) == set(samples[samples.keep].sample_id)
    some = dataset.table("reason = 'duplicate'", ["sample_id", "url"])
    assert some.schema.names == ["sample_id", "url"]
    assert set(some["sample_id"].to_pylist()) == set(samples[samples.reason == "duplicate"].sample_id)
    assert dataset.query("SELECT count(*) AS n FROM funnel('demo-1')")["n"][0].as_py() > 1


def test_it_is_found_from_inside(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished / "data" / "catalog")
    assert open_dataset().top == open_dataset(finished / "data").top == finished


def test_torch_reads_images_when_asked(dataset: Dataset) -> None:
    import torch
    from torch.utils.data import DataLoader

    found = dataset.torch(lambda image: torch.from_numpy(np.asarray(image.resize((8, 8))).copy()))
    assert len(found) == dataset.table().num_rows  # type: ignore[arg-type]
    image, sample = found[3]
    assert image.shape == (8, 8, 3)
    assert sample["keep"]
    assert found[-1][1] == found[len(found) - 1][1]  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        found[len(found)]  # type: ignore[arg-type]
    images = DataLoader(found, batch_size=16, collate_fn=lambda batch: torch.stack([image for image, _ in batch]))
    assert sum(len(batch) for batch in images) == len(found)  # type: ignore[arg-type]
    whole, sample = dataset.torch()[0]
    assert whole.size == (sample["width"], sample["height"])


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_is_lazy(dataset: Dataset) -> None:
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    found = dataset.huggingface("keep AND split = 'train'")
    assert isinstance(found, datasets.IterableDataset)
    rows = list(found.take(3))
    table = dataset.table("keep AND split = 'train'")
    assert [row["sample_id"] for row in rows] == table["sample_id"].to_pylist()[:3]
    assert rows[0]["image"].size == (table["width"][0].as_py(), table["height"][0].as_py())


def test_errors_say_what_to_do(dataset: Dataset, tmp_path: Path, project: Path) -> None:
    with pytest.raises(SluiceError, match=r"^Binder Error: Referenced column \"nothing\" not found"):
        dataset.frame("nothing > 1")
    with pytest.raises(SluiceError, match=r"read-only"):
        dataset.query("COPY samples TO 'x'")
    with pytest.raises(SluiceError, match=r"has no image 7: run `dvc checkout`"):
        dataset.image({"crawl": "demo-1", "shard": "00000", "key": "7"})
    with pytest.raises(SluiceError, match=r"^no workspace at .* or above it: name the folder"):
        open_dataset("/")
    with pytest.raises(SluiceError, match=r"^no catalog at .*: run `dvc repro catalog` first$"):
        open_dataset(project)
