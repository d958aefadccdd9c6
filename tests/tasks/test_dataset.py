"""The Python door: frames, tables, torch, Hugging Face, from anywhere."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import SluiceError
from tasks.dataset import Dataset, open_dataset
from tests.conftest import REPO


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


@pytest.fixture
def versions(finished: Path, tmp_path: Path) -> Path:
    """A workspace whose commit v1 is the finished one; since then its samples have been lost, and a version has been published."""
    top = tmp_path / "workspace"
    shutil.copytree(finished, top, symlinks=True)
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
    for words in (("add", "-A"), ("add", "-f", "dvc.lock"), (*identity, "commit", "-qm", "first"), ("tag", "v1")):
        subprocess.run(["git", *words], cwd=top, check=True, capture_output=True)
    for name in ("catalog", "curated"):
        shutil.copytree(top / "data" / name, top / "versions/v0001/data" / name)
    (top / "versions/current").symlink_to("v0001")
    shutil.rmtree(top / "data/curated")
    return top


def test_a_tag_is_read_without_a_checkout(versions: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now, before = open_dataset(finished), open_dataset("v1", workspace=versions)
    assert before.table().equals(now.table())
    assert before.query("SELECT count(*) AS n FROM neighbors").equals(now.query("SELECT count(*) AS n FROM neighbors"))
    sample = now.table().slice(0, 1).to_pylist()[0]
    assert before.image(sample) == now.image(sample)
    assert not (versions / "data/curated").exists()
    monkeypatch.chdir(versions / "data")
    assert open_dataset("HEAD").top == before.top
    with pytest.raises(SluiceError, match=r"Cannot access file"):
        before.query(f"SELECT * FROM read_text('{versions / 'params.yaml'}')")
    with pytest.raises(SluiceError, match=r"^'v2' is neither a folder nor a tag or commit of .*workspace: `git tag` lists what there is$"):
        open_dataset("v2")


def test_a_published_folder_is_read_and_stays_the_one_it_was(versions: Path, finished: Path, tmp_path: Path) -> None:
    opened = open_dataset(versions / "versions/current")
    assert opened.top == versions / "versions/v0001"
    (versions / "versions/current").unlink()
    (versions / "versions/current").symlink_to("v0002")
    now = open_dataset(finished)
    assert opened.table().equals(now.table())
    sample = now.table().slice(0, 1).to_pylist()[0]
    assert opened.image(sample) == now.image(sample)  # the workspace above has them
    (versions / "versions/v0001").rename(tmp_path / "alone")
    alone = open_dataset(tmp_path / "alone")
    assert alone.frame().equals(now.frame())
    with pytest.raises(SluiceError, match=r"alone holds tables alone, and no workspace lies above it: open a tag in a workspace"):
        alone.image(sample)


@pytest.mark.filterwarnings("ignore")
def test_the_example_of_the_docs_runs(versions: Path, finished: Path) -> None:
    pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    example = (REPO / "docs/catalog.md").read_text().partition("```python\n")[2].partition("```")[0]
    example = example.replace('workspace="path/to/workspace"', f'workspace="{versions}"').replace('"path/to/workspace"', f'"{finished}"')
    made: dict[str, Any] = {"transform": None}
    exec(example, made)
    assert len(made["frame"]) <= len(made["before"].frame())
    assert made["funnel"].num_rows > 1
    assert len(made["pictures"]) > 0


def test_errors_say_what_to_do(dataset: Dataset, tmp_path: Path, project: Path) -> None:
    with pytest.raises(SluiceError, match=r"^Binder Error: Referenced column \"nothing\" not found"):
        dataset.frame("nothing > 1")
    with pytest.raises(SluiceError, match=r"read-only"):
        dataset.query("COPY samples TO 'x'")
    with pytest.raises(SluiceError, match=r"has no image 7: run `dvc checkout` \(`dvc fetch` for a tag\), or ask"):
        dataset.image({"crawl": "demo-1", "shard": "00000", "key": "7"})
    with pytest.raises(SluiceError, match=r"^no workspace at .* or above it: name the folder"):
        open_dataset("/")
    with pytest.raises(SluiceError, match=r"^no catalog at .*: run `dvc repro catalog` first$"):
        open_dataset(project)
