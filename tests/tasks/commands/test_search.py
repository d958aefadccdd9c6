"""Search by text and by picture with the dataset's encoder."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.commands.search import open_encoder, picture_vector
from tasks.core.errors import SluiceError
from tasks.methods.similar import cosines
from tasks.methods.tars import read_images


@pytest.fixture
def top(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def test_a_text_finds_what_exact_search_finds(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a red rocket", "-n", "5", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    truth = cosines(np.load("data/index/vectors.npy"), open_encoder().encode_texts(["a red rocket"])[0])
    ids = pq.read_table("data/index/rows.parquet")["sample_id"].to_pylist()
    assert [row["sample_id"] for row in rows] == [ids[place] for place in np.argsort(-truth, kind="stable")[:5]]
    assert main(["search", " "]) == 1
    assert capsys.readouterr().err == 'error: the text is empty: say what to look for, such as "a red car"\n'


def test_a_stored_picture_finds_itself(top: Path, tmp_path: Path) -> None:
    samples = pq.read_table("data/curated/samples", columns=["sample_id", "key", "shard", "keep"]).to_pylist()
    sample = next(row for row in samples if row["keep"])
    picture = tmp_path / "picture"
    picture.write_bytes(dict(read_images(Path(f"data/images/demo-1/{sample['shard']}.tar"), {sample["key"]}))[sample["key"]])
    similarity = cosines(np.load("data/index/vectors.npy"), picture_vector(picture))
    ids = pq.read_table("data/index/rows.parquet")["sample_id"].to_pylist()
    assert similarity[ids.index(sample["sample_id"])] > 0.999
    picture.write_bytes(b"no picture")
    with pytest.raises(SluiceError, match=r"picture is no picture that can be read \("):
        picture_vector(picture)
