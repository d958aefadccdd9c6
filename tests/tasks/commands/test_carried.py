"""Images that come with a source go through `ingest` as all others do."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks import ingest as stage
from tasks.cli import main
from tasks.contracts.records import CONTRACT
from tasks.core.crawls import read_manifest, read_settings
from tasks.core.shards import SerialPool
from tasks.core.tables import Artifact, Sink
from tasks.methods.packed_web import PackedFiles
from tests.tasks.commands.test_crawl import tracked

__all__ = ["tracked"]


def jpeg(shade: int) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 200)).save(stream, "JPEG")
    return stream.getvalue()


def test_a_folder_of_images_is_ingested_without_a_network(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tracked / "pictures"
    source.mkdir()
    for number in range(5):
        (source / f"{number}.jpg").write_bytes(jpeg(number * 40))
        (source / f"{number}.txt").write_text(f"shade {number}")
    (source / "copy.jpg").write_bytes(jpeg(0))
    (source / "broken.jpg").write_bytes(b"<html>")
    (source / "huge.jpg").write_bytes(bytes(30_000_000))
    assert main(["crawl", "add", "pictures", "pictures"]) == 0
    assert capsys.readouterr().out.startswith("added crawl 'pictures': 8 rows (0 repeated ones left out), 7 images")
    folder = tracked / "data/crawls/pictures"
    settings = read_settings(folder)
    assert settings.connect["carried.test"] == "embedded"
    assert set(read_manifest(folder)["url"].to_pylist()).isdisjoint({"http://carried.test/"})
    assert PackedFiles(folder / "web.parquet").get("nothing") is None
    rows = ingested(folder, tracked)
    assert Counter(row["detail"] for row in rows) == {None: 6, "not_an_image": 1, "too_large": 1}
    assert {row["alt_text"] for row in rows if row["status"] == "ok"} == {"", *(f"shade {number}" for number in range(5))}


def ingested(folder: Path, top: Path) -> list[dict[str, Any]]:
    records = Sink(CONTRACT, top / "out/records", ["pictures"], bound_crawl="pictures")
    stage.ingest(Artifact(folder), Artifact(top / "out/images"), records, "pictures", SerialPool())
    return [row for path in (top / "out/records").glob("*.parquet") for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("name", ["pictures", "empty.tar"])
def test_what_holds_no_image_is_one_line(tracked: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tracked / "pictures").mkdir()
    (tracked / "empty.tar").write_bytes(bytes(10_240))
    assert main(["crawl", "add", "new", name]) == 1
    assert "is empty" in capsys.readouterr().err
    assert not (tracked / "data/crawls/new").exists()
