"""Neighbours of a sample, by id, part of an id, or url."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.methods.similar import cosines


@pytest.fixture
def top(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def ids(top: Path) -> list[str]:
    return pq.read_table(top / "data/index/rows.parquet")["sample_id"].to_pylist()


def test_the_nearest_are_those_of_exact_search(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = np.load(top / "data/index/vectors.npy")
    assert main(["similar", ids(top)[3][:12].upper(), "-n", "4", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    truth = cosines(vectors, vectors[3])
    truth[3] = -1
    assert [row["sample_id"] for row in rows] == [ids(top)[place] for place in np.lexsort((np.arange(len(truth)), -truth))[:4]]
    assert rows[0]["similarity"] == round(float(truth.max()), 4)
    assert all(row["url"].startswith("http://demo.test/") and row["crawl"] == "demo-1" for row in rows)


def test_by_url(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = ids(top)[5]
    samples = pq.read_table(top / "data/curated/samples", columns=["sample_id", "url"]).to_pylist()
    url = next(row["url"] for row in samples if row["sample_id"] == sample)
    answers = []
    for name in (sample, url):
        assert main(["similar", name, "--format", "csv"]) == 0
        answers.append(capsys.readouterr().out)
    assert len(answers[0].splitlines()) == 11


def test_by_diffusion_neighbours_lead_to_them(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors, names = np.load(top / "data/index/vectors.npy"), ids(top)
    neighbors = pq.read_table(top / "data/neighbors", columns=["position", "neighbors"]).sort_by("position")["neighbors"].to_pylist()
    place = next(row for row, near in enumerate(neighbors) if sum(row in neighbors[other][:20] for other in near[:20]) > 3)
    assert main(["similar", names[place], "-n", "6", "--by", "diffusion", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    places = [names.index(row["sample_id"]) for row in rows]
    assert place not in places
    assert 1 <= len(set(places)) == len(places) <= 6
    assert [row["similarity"] for row in rows] == pytest.approx(cosines(vectors[places], vectors[place]), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ffff\x1b[31m"], r"no indexed sample has the url or id 'ffff\x1b[31m': `sluice explain` says how far it got"),
        (["0" * 32], f"no indexed sample has the url or id '{'0' * 32}'"),
        (["x" * 32, "-n", "0"], "no indexed sample"),
    ],
)
def test_an_unknown_name_is_one_line(top: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["similar", *words]) == 1
    found = capsys.readouterr().err
    assert found.startswith(f"error: {message}")
    assert found.count("\n") == 1


def test_no_answers_asked_for(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", ids(top)[0], "-n", "0"]) == 1
    assert capsys.readouterr().err == "error: -n 0 asks for no answer: it must be 1 or more\n"


def test_without_an_index_the_error_says_what_to_do(project: Path, repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "params.yaml").write_text((repo / "params.yaml").read_text())
    assert main(["similar", "0" * 32]) == 1
    assert capsys.readouterr().err == "error: no index in data/index: run `dvc repro index` first\n"
    folder = project / "data/index"
    folder.mkdir()
    pq.write_table(pq.read_table(_rows(folder)), folder / "rows.parquet")
    (folder / "image.index").write_bytes(b"nothing")
    assert main(["similar", "0" * 32]) == 1
    assert capsys.readouterr().err.startswith("error: the index in data/index can't be read (data/index/image.index is no FAISS index")


def _rows(folder: Path) -> Path:
    import pyarrow as pa

    path = folder / "made.parquet"
    pq.write_table(pa.table({"position": [0], "sample_id": ["0" * 32], "crawl": ["demo-1"]}), path)
    return path
