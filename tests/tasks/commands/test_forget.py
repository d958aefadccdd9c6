"""Forget: nothing live holds the image afterwards, nothing is fetched or trained again, and a kill can be mended."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.commands import forget
from tasks.core.forgotten import read_forgotten
from tasks.methods.tars import read_images
from tests.workspace import environment

SLUICE = [sys.executable, "-m", "tasks.cli"]
Copy = Callable[[], Path]


def call(top: Path, *words: str, code: int = 0) -> str:
    """Run a command in the workspace."""
    done = subprocess.run(words, cwd=top, capture_output=True, text=True, env=environment(top), check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows_of(top: Path, table: str) -> list[dict[str, Any]]:
    return [row for path in sorted((top / "data" / table).rglob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]


def traces(sample: dict[str, Any], records: list[dict[str, Any]], top: Path) -> dict[str, bytes]:
    """What must not be found any more: bytes as stored, address, thumbnail."""
    record = next(row for row in records if row["sample_id"] == sample["sample_id"])
    data = dict(read_images(top / f"data/images/{sample['crawl']}/{sample['shard']}.tar", {sample["key"]}))[sample["key"]]
    middle = data[len(data) // 2 :][:128]
    return {"bytes": data, "middle": middle, "url": sample["url"].encode(), "thumbnail": record["thumbnail"]}


def found_in(folder: Path, traces: dict[str, bytes]) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [f"{path.relative_to(folder)}: {name}" for path in files for name, trace in traces.items() if trace in path.read_bytes()]


def one_sample(top: Path) -> dict[str, Any]:
    """A kept sample whose text nobody shares."""
    samples = rows_of(top, "curated")
    hashes = [row["sha256"] for row in samples]
    return next(row for row in samples if row["keep"] and hashes.count(row["sha256"]) == 1)


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A workspace of one's own: what is forgotten is gone."""

    def make() -> Path:
        top = tmp_path / "workspace"
        shutil.copytree(finished, top, symlinks=True)
        for left in (".sluice/exports", "exported"):  # of other tests
            shutil.rmtree(top / left, ignore_errors=True)
        monkeypatch.chdir(top)
        return top

    return make


@pytest.mark.slow
def test_an_image_leaves_everything_and_nothing_is_made_again(copy: Copy, tmp_path: Path) -> None:
    top = copy()
    call(top, sys.executable, "-m", "dvc", "remote", "add", "-d", "near", str(tmp_path / "remote"))
    call(top, sys.executable, "-m", "dvc", "push")
    identity = ["-c", "user.name=a", "-c", "user.email=a@demo.test"]
    call(top, "git", "add", "-f", "dvc.lock")
    call(top, "git", *identity, "commit", "-qm", "first")
    call(top, "git", "tag", "v1")
    sample, records = one_sample(top), rows_of(top, "records")
    gone = traces(sample, records, top)
    call(top, *SLUICE, "export", "webdataset", str(tmp_path / "export"))
    assert {line.split(":")[0].split("/")[0] for line in found_in(top, gone)} >= {".dvc", "data"}
    assert found_in(tmp_path / "remote", gone)
    assert found_in(tmp_path / "export", gone)
    before = {path: path.read_bytes() for name in ("images", "records", "embeddings") for path in (top / "data" / name).rglob("*.*")}

    said = call(top, *SLUICE, "forget", sample["url"])
    assert said.startswith("forgot 1 images (1 samples); receipt: reports/receipts/")
    assert [line for folder in (top, tmp_path / "remote", tmp_path / "export") for line in found_in(folder, gone)] == []
    changed = {path.stem for path, content in before.items() if path.read_bytes() != content}
    assert changed == {sample["shard"]}
    check_tables(top, sample, len(records))
    assert "Running stage" not in call(top, sys.executable, "-m", "dvc", "repro", "--dry")
    receipt = json.loads(next((top / "reports/receipts").iterdir()).read_text())
    assert receipt["forgotten"]["samples"] == [sample["sample_id"]]
    assert receipt["left"]["tags_to_issue_again"] == ["v1"]
    assert len(receipt["objects_deleted"]) == 2
    assert sample["url"] not in json.dumps(receipt)
    check_later_crawls(top, sample)


def check_tables(top: Path, sample: dict[str, Any], n_rows: int) -> None:
    """The rows that have to stay say why they are empty; the others are gone; the graph counts anew."""
    record = next(row for row in rows_of(top, "records") if row["sample_id"] == sample["sample_id"])
    assert (record["status"], record["detail"], record["url"], record["sha256"], record["thumbnail"]) == (
        "failed",
        "forgotten",
        "",
        None,
        None,
    )
    assert len(rows_of(top, "records")) == len(rows_of(top, "curated")) == n_rows
    assert next(row for row in rows_of(top, "curated") if row["sample_id"] == sample["sample_id"])["reasons"] == ["forgotten"]
    for table in ("embeddings", "duplicates", "matches", "scores", "pairs", "neighbors", "index"):
        assert all(sample["sample_id"] not in (row.get("sample_id"), row.get("other_id")) for row in rows_of(top, table)), table
    assert sample["image_id"] not in {row["image_id"] for row in rows_of(top, "../.sluice/fetches")}
    index, graph = rows_of(top, "index"), rows_of(top, "neighbors")
    assert [row["position"] for row in index] == [row["position"] for row in graph] == list(range(len(index)))
    vectors = np.load(top / "data/index/vectors.npy")
    for row in graph:
        assert row["position"] not in row["neighbors"]
        assert (vectors[row["neighbors"]].astype(float) @ vectors[row["position"]]).tolist() == pytest.approx(row["similarities"], abs=2e-3)
    assert '"forgotten"' in call(top, *SLUICE, "query", "SELECT DISTINCT reason FROM funnel", "--format", "json")


def check_later_crawls(top: Path, sample: dict[str, Any]) -> None:
    """`ingest` takes its shards as done; a new crawl with the address gets nothing."""
    before = {path: path.stat().st_mtime_ns for path in (top / "data/records").rglob("*.parquet")}
    call(top, sys.executable, "-m", "tasks.ingest", "demo-1")
    assert {path: path.stat().st_mtime_ns for path in (top / "data/records").rglob("*.parquet")} == before
    assert read_forgotten(top / "data/crawls").hides(sample["image_id"], "")


@pytest.mark.slow
def test_a_killed_run_is_resumed(copy: Copy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    top = copy()
    sample, records = one_sample(top), rows_of(top, "records")
    gone = traces(sample, records, top)
    for step in ("edit_index", "edit_graph", "finish_stages", "write_receipt"):
        with monkeypatch.context() as patch:
            patch.setattr(forget, step, killed)
            with pytest.raises(KeyboardInterrupt):
                forget.run(words("--resume") if step != "edit_index" else words(sample["sample_id"][:10]))
        assert main(["forget", sample["sample_id"]]) == 1
        assert capsys.readouterr().err == (
            "error: an earlier `sluice forget` was interrupted: end it first with `sluice forget --resume`\n"
        )
    forget.run(words("--resume"))
    assert found_in(top, gone) == []
    check_tables(top, sample, len(records))
    assert "Running stage" not in call(top, sys.executable, "-m", "dvc", "repro", "--dry")
    assert main(["forget", "--resume"]) == 1
    assert capsys.readouterr().err.endswith("error: nothing to resume: no `sluice forget` was interrupted\n")


def killed(*arguments: object) -> None:
    raise KeyboardInterrupt


def words(*texts: str) -> Any:
    from tasks.cli import make_parser

    return make_parser().parse_args(["forget", *texts])


def test_by_host_hash_and_likeness_without_a_change(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = copy()
    sample = one_sample(top)
    images = len({row["image_id"] for row in rows_of(top, "records")})
    dry = "--dry-run"
    assert main(["forget", "--host", "TEST", dry]) == 0
    said = capsys.readouterr().out
    assert re.match(rf"would forget {images} images \(\d+ samples\) and the hosts test\n", said)
    assert main(["forget", "--sha256", sample["sha256"], dry]) == 0
    assert capsys.readouterr().out == "would forget 1 images (1 samples)\n"
    picture = tmp_path / "picture"
    picture.write_bytes(dict(read_images(top / f"data/images/demo-1/{sample['shard']}.tar", {sample["key"]}))[sample["key"]])
    assert main(["forget", "--similar-to", str(picture), "--min-similarity", "0.9999", dry]) == 0
    assert int(capsys.readouterr().out.split()[2]) >= 1
    assert main(["forget", "http://elsewhere.test/1.jpg", dry]) == 0
    assert capsys.readouterr().out == "would forget 1 images (0 samples)\n"
    assert not (top / ".sluice/forget.json").exists()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "nothing to forget: name ids or urls, or use --host, --sha256 or --similar-to"),
        (["0" * 32], f"no sample has the url or id '{'0' * 32}': nothing was forgotten"),
        (["--sha256", "x"], "--sha256 'x' is not 64 hex digits"),
        (["--host", "http://a.test/"], "--host 'http://a.test/' is no host name: give it as in images.example.org"),
        (["--similar-to", "x.jpg"], "--similar-to and --min-similarity go together: the picture, and from which cosine similarity on"),
        (["--similar-to", "x.jpg", "--min-similarity", "2"], "--min-similarity 2.0 must be above 0 and at most 1"),
    ],
)
def test_a_wrong_request_is_one_line(
    texts: list[str], message: str, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    assert main(["forget", *texts]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_copies_of_the_same_bytes_go_together(finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(finished)
    records = [row for row in rows_of(finished, "records") if row["sha256"]]
    hashes = [row["sha256"] for row in records]
    copied = next(row for row in records if hashes.count(row["sha256"]) > 1)
    n_images = len({row["image_id"] for row in records if row["sha256"] == copied["sha256"]})
    assert main(["forget", copied["url"], "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith(f"would forget {n_images} images")
    assert hashlib.sha256(b"").hexdigest() not in hashes
