import sys
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.methods.manifests import read_manifest
from tests.tasks.methods.test_common_crawl import PAGE, response


def test_a_manifest_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.warc").write_bytes(response("http://a.test/zoo/index.html", PAGE))
    (tmp_path / "b.warc").write_bytes(response("http://a.test/zoo/index.html", PAGE))
    out = tmp_path / "pictures.parquet"
    assert main(["crawl", "extract", str(out), str(tmp_path / "a.warc"), str(tmp_path / "b.warc")]) == 0
    assert capsys.readouterr().out == f"wrote 4 pictures to {out}\nnext: `sluice crawl add NAME {out}`\n"
    row = read_manifest(out).to_pylist()[0]
    assert (row["url"], row["alt_text"], row["page_url"]) == ("http://a.test/zoo/img/cat.jpg", "A cat", "http://a.test/zoo/index.html")
    assert row["extra"] == '{"context": "Our cat, asleep"}'


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare.warc").write_bytes(response("http://a.test/", "<p>no picture</p>"))
    out = tmp_path / "pictures.parquet"
    for words, message in [
        ([tmp_path / "out.csv", tmp_path / "bare.warc"], "is no name for a manifest of pictures: let it end in .parquet"),
        ([out, tmp_path / "gone.warc"], "gone.warc: name WARC or WAT files"),
        ([out, tmp_path / "bare.warc"], "the files hold no picture: nothing is written"),
    ]:
        assert main(["crawl", "extract", *map(str, words)]) == 1
        found = capsys.readouterr().err
        assert message in found
        assert found.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["bare.warc"]


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.warc").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "fastwarc.warc", None)
    assert main(["crawl", "extract", str(tmp_path / "x.parquet"), str(tmp_path / "a.warc")]) == 1
    assert "install it with `pip install 'sluice[commoncrawl]'`" in capsys.readouterr().err
