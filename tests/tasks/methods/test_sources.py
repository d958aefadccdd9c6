import json
import tarfile
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.methods.sources import Carried, read_source, recognise
from tasks.methods.tars import Entry, write_images


def folder_of_images(top: Path) -> Path:
    (top / "b").mkdir(parents=True)
    (top / "b/2.PNG").write_bytes(b"two")
    (top / "1.jpg").write_bytes(b"0123456789")
    (top / "1.txt").write_text("a cat\n")
    (top / "1.json").write_text('{"page_url": "http://a.test/", "sha256": "00"}')
    (top / ".hidden.jpg").write_bytes(b"hidden")
    return top


def test_kinds_are_recognised_by_what_lies_there(tmp_path: Path) -> None:
    write_images(tmp_path / "00000.tar", [Entry("000000000", "jpg", b"x", "text", {"url": "http://a.test/"})])
    pq.write_table(pa.table({"url": ["http://a.test/"], "status": ["success"]}), tmp_path / "00000.parquet")  # as img2dataset leaves it
    assert recognise(tmp_path) == recognise(tmp_path / "00000.tar") == "tars"
    assert recognise(tmp_path / "00000.parquet") == "manifest"
    assert recognise(folder_of_images(tmp_path / "images")) == "images"
    (tmp_path / "files/00000").mkdir(parents=True)
    (tmp_path / "files/00000/000000000.jpg").write_bytes(b"x")
    pq.write_table(pa.table({"url": ["http://a.test/"], "status": ["success"]}), tmp_path / "files/00000.parquet")
    assert recognise(tmp_path / "files") == "images"
    (tmp_path / "list").mkdir()
    (tmp_path / "list/a.csv").write_text("url\nhttp://a.test/1.jpg\n")
    (tmp_path / "list/preview.jpg").write_bytes(b"x")
    assert recognise(tmp_path / "list") == recognise(tmp_path / "list/a.csv") == "manifest"
    (tmp_path / "hf/data").mkdir(parents=True)
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "hf/data/train-0.parquet")
    assert recognise(tmp_path / "hf") == recognise(tmp_path / "hf/data") == recognise(tmp_path / "hf/data/train-0.parquet") == "parquet"
    with pytest.raises(ValueError, match="no manifest at .*gone"):
        recognise(tmp_path / "gone")


def test_a_folder_of_images_comes_with_its_texts(tmp_path: Path) -> None:
    assert list(read_source(folder_of_images(tmp_path / "images"), "images", max_bytes=5)) == [
        Carried(b"012345", "a cat", None, "http://a.test/", '{"file": "1.jpg", "sha256": "00"}'),
        Carried(b"two", "", None, None, '{"file": "b/2.PNG"}'),
    ]


def test_img2datasets_tars_keep_their_addresses_beside(tmp_path: Path) -> None:
    fields = {"url": "http://a.test/1.jpg", "caption": "a cat", "concept": "cat"}
    write_images(tmp_path / "00000.tar", [Entry("000000000", "jpg", b"x", "a cat", fields)])
    (found,) = read_source(tmp_path, "tars", max_bytes=100)
    assert (found.data, found.alt_text, found.concept) == (b"x", "a cat", "cat")
    assert json.loads(found.extra) == {"file": "00000.tar/000000000", "url": "http://a.test/1.jpg"}


def test_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    for make in ("file", "text", "folder", "tar"):
        top = tmp_path / make
        top.mkdir()
        if make == "file":
            (top / "1.jpg").symlink_to(tmp_path / "secret.jpg")
        elif make == "text":
            (top / "1.jpg").write_bytes(b"x")
            (top / "1.txt").symlink_to(tmp_path / "secret.jpg")
        elif make == "tar":
            with tarfile.open(tmp_path / "real", "w") as tar:
                tar.addfile(tarfile.TarInfo("1.jpg"), BytesIO())
            (top / "1.tar").symlink_to(tmp_path / "real")
        else:
            (top / "1.jpg").write_bytes(b"x")
            (top / "linked").symlink_to(tmp_path / "file")
        if make == "folder":
            assert [image.data for image in read_source(top, recognise(top), max_bytes=10)] == [b"x"]
        else:
            with pytest.raises(ValueError, match="is a link, or lies behind one"):
                list(read_source(top, recognise(top), max_bytes=10))
