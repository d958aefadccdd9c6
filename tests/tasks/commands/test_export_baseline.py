"""Exports of what other filters keep: the arms' own rows, of the whole pool, and errors that say what is wrong."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from tasks.cli import BASELINES, main
from tasks.commands.export import noted_exports, write_export
from tasks.commands.export_baseline import table_of, take_baseline
from tasks.core.errors import SluiceError
from tasks.methods.arms import FILTERED
from tests.conftest import REPO


@pytest.fixture
def top(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def uids(folder: Path) -> set[str]:
    return {f"{high:016x}{low:016x}" for high, low in np.load(folder / "subset.npy").tolist()}


def test_the_commands_choices_are_the_filters_of_the_arms() -> None:
    assert BASELINES == FILTERED
    arms = YAML(typ="safe").load(REPO / "params.yaml")["pretrain"]["arms"]
    assert {name: arms[name]["rows"] for name in BASELINES} == {name: name for name in BASELINES}


def spoken(text: str) -> bool:
    return len(text.split()) > 2 and len(text) > 5


def test_basic_is_datacomps_rule_over_every_valid_row(top: Path, tmp_path: Path) -> None:
    limits = YAML(typ="safe").load(top / "params.yaml")["pretrain"]["filters"]
    assert main(["export", "datacomp", str(tmp_path / "basic"), "--baseline", "basic"]) == 0
    expected = set()
    for row in pq.read_table(top / "data/curated/samples").to_pylist():
        sides = sorted([row["original_width"] or 0, row["original_height"] or 0])
        large = sides[0] >= limits["min_side"] and sides[1] <= 3 * sides[0]
        if row["status"] == "ok" and large and spoken(row["alt_text"]) and "leak" not in row["reasons"]:
            expected.add(row["sample_id"])
    assert uids(tmp_path / "basic") == expected
    kept = {row["sample_id"] for row in pq.read_table(top / "data/curated/samples").to_pylist() if row["keep"]}
    assert expected - kept
    assert kept - expected


def test_clip_score_keeps_datacomps_share_of_the_pool(top: Path, tmp_path: Path) -> None:
    assert main(["export", "datacomp", str(tmp_path / "clip"), "--baseline", "clip_score"]) == 0
    fits = pq.read_table(top / "data/matches").to_pylist()
    scores = np.array([np.nan if row["text_similarity"] is None else row["text_similarity"] for row in fits])
    threshold = -np.sort(-scores)[int(len(scores) * 0.3)]
    banned = {row["sample_id"] for row in pq.read_table(top / "data/curated/samples").to_pylist() if "leak" in row["reasons"]}
    expected = {row["sample_id"] for row, score in zip(fits, scores, strict=True) if score >= threshold} - banned
    assert uids(tmp_path / "clip") == expected


@pytest.mark.parametrize("baseline", FILTERED)
def test_every_filter_is_exported_and_made_again_by_its_note(baseline: str, top: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert main(["export", "datacomp", str(folder), "--baseline", baseline]) == 0
    before = uids(folder)
    decodable = {row["sample_id"] for row in pq.read_table(top / "data/curated/samples").to_pylist() if row["status"] == "ok"}
    assert before < decodable
    assert pq.read_table(folder / "metadata.parquet")["uid"].to_pylist() == sorted(before)
    noted = next(export for export in noted_exports() if export.folder == str(folder))
    assert noted.baseline == baseline
    write_export(noted)
    assert uids(folder) == before


def test_a_condition_narrows_what_passed_and_moves_no_share(top: Path, tmp_path: Path) -> None:
    where = "original_width % 2 = 0 OR sample_id < '8'"
    for baseline in ("clip_score", "clip_margin"):
        main(["export", "datacomp", str(tmp_path / baseline), "--baseline", baseline])
        main(["export", "datacomp", str(tmp_path / f"{baseline}-some"), "--baseline", baseline, "--where", where])
        rows = pq.read_table(top / "data/curated/samples").to_pylist()
        fits = {row["sample_id"] for row in rows if row["status"] == "ok" and (row["original_width"] % 2 == 0 or row["sample_id"] < "8")}
        assert uids(tmp_path / f"{baseline}-some") == uids(tmp_path / baseline) & fits


def test_what_no_arm_may_learn_from_is_left_out(top: Path) -> None:
    rows = pq.read_table(top / "data/curated/samples")
    rows = rows.filter(rows["keep"])
    first = take_baseline(rows, "clip_margin")["sample_id"][0].as_py()
    reasons = [["leak"] if name == first else [] for name in rows["sample_id"].to_pylist()]
    banned = rows.set_column(rows.schema.get_field_index("reasons"), "reasons", [reasons])
    assert first not in take_baseline(banned, "clip_margin")["sample_id"].to_pylist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--baseline", "basic", "--all"], "--baseline starts from every decodable sample by itself: leave --all out"),
        (["--baseline", "basic", "--where", "false"], "no decodable sample fits --where 'false': nothing to export"),
        (["--baseline", "basic", "--where", "alt_text = ''"], " passes --baseline basic: see pretrain.filters in params.yaml"),
    ],
)
def test_a_choice_of_nothing_is_one_line_and_leaves_nothing(
    words: list[str], message: str, top: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "datacomp", str(tmp_path / "out"), *words]) == 1
    found = capsys.readouterr().err
    assert found.startswith("error: ")
    assert message in found
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_filter_names_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "datacomp", str(tmp_path / "out"), "--baseline", "laion2b"])
    found = capsys.readouterr().err
    assert "argument --baseline: invalid choice: 'laion2b'" in found
    assert all(name in found for name in BASELINES)


def test_a_note_of_a_filter_that_is_gone_says_so(top: Path) -> None:
    rows = pq.read_table(top / "data/curated/samples")
    with pytest.raises(SluiceError, match="--baseline laion2b: rows='laion2b' is no filter: use one of basic, "):
        take_baseline(rows, "laion2b")


def test_tables_that_are_not_there_are_named(project: Path) -> None:
    with pytest.raises(SluiceError, match="the filters read the table matches, which isn't there: run `dvc repro` first"):
        table_of("matches", ["demo-1"])
