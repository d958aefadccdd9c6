"""Completed texts of an export: what is lent, what is named, and that it is said."""

import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.commands.export import noted_exports
from tasks.commands.export_texts import nearest_rows


@pytest.fixture
def top(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def told(folder: Path) -> dict[str, dict[str, str]]:
    """KEY.json of every sample of a WebDataset, by sample_id."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    fields = json.load(tar.extractfile(member))
                    found[fields["sample_id"]] = fields
    return found


def test_every_sample_has_a_text_and_says_whose(top: Path, tmp_path: Path) -> None:
    assert main(["export", "webdataset", str(tmp_path / "plain")]) == 0
    assert main(["export", "webdataset", str(tmp_path / "full"), "--complete-texts"]) == 0
    plain, full = told(tmp_path / "plain"), told(tmp_path / "full")
    assert plain.keys() == full.keys()
    assert "text_source" not in next(iter(plain.values()))
    rows = {row["sample_id"]: row for row in pq.read_table(top / "data/curated/samples").to_pylist()}
    sources = {name: fields["text_source"] for name, fields in full.items()}
    assert set(sources.values()) == {"own", "neighbor", "concept"}
    for name, source in sources.items():
        own, caption = rows[name]["alt_text"], full[name]["caption"]
        assert caption
        if source == "own":
            assert (caption, rows[name]["text_score"] > 0.5) == (own, True)
        if source == "concept":
            assert caption == f"a photo of a {rows[name]['curated_concept']}"
        if source == "neighbor":
            lenders = [row for row in rows.values() if row["alt_text"] == caption and row["text_score"] > 0.5]
            assert any(row["curated_concept"] == rows[name]["curated_concept"] for row in lenders)
    noted = next(export for export in noted_exports() if export.folder == str(tmp_path / "full"))
    assert noted.complete_texts


def test_neighbours_are_rows_of_the_export(top: Path) -> None:
    rows = pq.read_table(top / "data/curated/samples").filter(pq.read_table(top / "data/curated/samples")["keep"])
    near = nearest_rows(rows)
    assert near.shape == (rows.num_rows, 20)
    assert near.max() < rows.num_rows
    assert (near >= 0).any()
    graph = {row["sample_id"]: row for row in pq.read_table(top / "data/neighbors").to_pylist()}
    order = [row["sample_id"] for row in sorted(graph.values(), key=lambda row: row["position"])]
    ids = rows["sample_id"].to_pylist()
    expected = [order[place] for place in graph[ids[0]]["neighbors"][:20]]
    assert [ids[place] if place >= 0 else None for place in near[0]][: len(expected)] == [
        name if name in ids else None for name in expected
    ]
