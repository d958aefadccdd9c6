"""Exports: whole or not at all, the same bytes again, filtered through the hardened door."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import BALANCES, EXPORTS, main
from tasks.commands.export import NOTES, Export, by_tar, noted_exports, pool_uids, write_export
from tasks.commands.export_kinds import KINDS
from tasks.contracts.records import CONTRACT as RECORDS
from tests.tasks.conftest import make_record, write_table


@pytest.fixture
def top(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished / "data")
    return finished


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", EXPORTS)
def test_twice_the_same_bytes(kind: str, top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        monkeypatch.chdir(top / "data")
        assert main(["export", kind, str(tmp_path / name)]) == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert {(export.kind, export.folder) for export in noted_exports()} >= {(kind, str(tmp_path / "one"))}


def test_the_commands_choices_are_the_kinds() -> None:
    assert tuple(KINDS) == EXPORTS


def test_a_filter_narrows_and_all_widens(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = pq.read_table(top / "data/curated/samples").to_pylist()
    wanted = {row["sample_id"] for row in samples if row["keep"] and row["curated_concept"] < "d"}
    main(["export", "datacomp", str(tmp_path / "few"), "--where", "curated_concept < 'd' -- early ones"])
    assert set(pq.read_table(tmp_path / "few/metadata.parquet")["uid"].to_pylist()) == wanted
    monkeypatch.chdir(top / "data")
    main(["export", "datacomp", str(tmp_path / "all"), "--all"])
    decodable = {row["sample_id"] for row in samples if row["status"] == "ok"}
    assert set(pq.read_table(tmp_path / "all/metadata.parquet")["uid"].to_pylist()) == decodable


@pytest.mark.parametrize("balance", BALANCES)
def test_a_subset_is_noted_and_made_again_by_its_note(balance: str, top: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    assert main(["export", "datacomp", str(folder), "--size", "20", "--balance", balance, "--seed", "3"]) == 0
    before = content(folder)
    assert pq.read_table(folder / "metadata.parquet").num_rows == 20
    noted = next(export for export in noted_exports() if export.folder == str(folder))
    assert (noted.size, noted.balance, noted.seed) == (20, balance, 3)
    write_export(noted, or_fewer=True)
    assert content(folder) == before


def test_a_note_of_before_there_were_subsets_is_of_everything(project: Path, tmp_path: Path) -> None:
    NOTES.mkdir(parents=True)
    (NOTES / "x.json").write_text(json.dumps({"kind": "datacomp", "folder": str(tmp_path), "where": None, "everything": True, "n_rows": 1}))
    assert noted_exports() == [Export("datacomp", str(tmp_path), None, True)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--balance", "words"], "--balance and --seed say how a subset is drawn: give its --size too"),
        (["--seed", "1"], "--balance and --seed say how a subset is drawn: give its --size too"),
        (["--size", "100000"], "--size 100000 is more than there are: "),
    ],
)
def test_a_wrong_subset_is_one_line_and_leaves_nothing(
    words: list[str], message: str, top: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "datacomp", str(tmp_path / "out"), *words]) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nothing = 1", r"""--where 'nothing = 1' can't be used: Binder Error: Referenced column "nothing" not found"""),
        ("1) TO 'x'; --", "--where \"1) TO 'x'; --\" can't be used:"),
        ("sample_id IN (SELECT content FROM read_text('/etc/passwd'))", "--where "),
        ("false", "no kept sample fits --where 'false': nothing to export"),
    ],
)
def test_a_wrong_filter_is_one_line_and_leaves_nothing(
    where: str, message: str, top: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "datacomp", str(tmp_path / "out"), "--where", where]) == 1
    found = capsys.readouterr().err
    assert found.startswith(f"error: {message}")
    assert found.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(top: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert main(["export", "datacomp", str(tmp_path / "mine")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/mine is there already: name a folder that isn't\n"
    assert list((tmp_path / "mine").iterdir()) == []


def test_an_export_that_fails_leaves_nothing(
    top: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(tar: Path, keys: object) -> object:
        raise ValueError("the disk is tired")

    monkeypatch.setattr("tasks.commands.export.read_images", broken)
    assert main(["export", "huggingface", str(tmp_path / "out")]) == 1
    assert "can't be read (the disk is tired): run `dvc checkout`, or `dvc repro`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_rows_are_parted_by_tar() -> None:
    rows = pa.table({"crawl": ["a", "a", "a", "b"], "shard": ["0", "0", "1", "1"], "key": list("wxyz")})
    assert [part["key"].to_pylist() for part in by_tar(rows)] == [["w", "x"], ["y"], ["z"]]


def test_uids_of_a_pool_pass_through(project: Path) -> None:
    uid = "0123456789abcdef" * 2
    rows = [make_record(1, crawl="demo-1", extra=f'{{"uid": "{uid}"}}'), make_record(2, crawl="demo-1", extra='{"uid": 7}')]
    write_table(RECORDS, Path("data/records"), [*rows, make_record(3, crawl="demo-1")])
    assert pool_uids() == {rows[0]["sample_id"]: uid}
