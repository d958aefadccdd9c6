import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.methods.manifests import distinct, image_id, read_manifest, sample_id, sample_ids

ROWS = [{"url": "http://a.example/1.jpg", "alt_text": "a cat", "concept": "cat", "page_url": None, "extra": None}]
ROWS += [{"url": "http://a.example/2.jpg", "alt_text": "", "concept": None, "page_url": "http://a.example/", "extra": None}]

IMAGE_ID = "e6a599f8189422f6994e85c3e55dcfbd"


def rows(path: Path, **options: object) -> list[dict]:
    return read_manifest(path, **options).to_pylist()  # type: ignore[arg-type]


def test_the_same_rows_from_every_format(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{name: row[name] for name in ("url", "alt_text", "concept", "page_url")} for row in ROWS])
    pq.write_table(table, tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    assert rows(tmp_path / "m.parquet") == ROWS
    assert rows(tmp_path / "m.jsonl") == ROWS
    text = "url,alt_text,concept,page_url\nhttp://a.example/1.jpg,a cat,cat,\nhttp://a.example/2.jpg,,,http://a.example/\n"
    (tmp_path / "m.csv").write_text(text)
    (tmp_path / "m.tsv").write_text(text.replace(",", "\t"))
    assert rows(tmp_path / "m.csv") == ROWS
    assert rows(tmp_path / "m.tsv") == ROWS
    for name in ("m.csv", "m.tsv", "m.jsonl", "m.parquet"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        assert rows(tmp_path / f"{name}.gz") == rows(tmp_path / name)


def test_names_of_known_crawls(tmp_path: Path) -> None:
    laion = {"SAMPLE_ID": [7], "URL": ["http://a.example/x"], "TEXT": ["fox"], "LICENSE": [None], "similarity": [0.5], "NSFW": ["UNLIKELY"]}
    pq.write_table(pa.table(laion), tmp_path / "laion.parquet")
    (row,) = rows(tmp_path / "laion.parquet")
    assert (row["url"], row["alt_text"], row["concept"]) == ("http://a.example/x", "fox", None)
    assert row["extra"] == '{"NSFW": "UNLIKELY", "SAMPLE_ID": 7, "similarity": 0.5}'
    datacomp = {"uid": ["ab"], "url": ["http://a.example/x"], "text": [None], "face_bboxes": [[[0.1, 0.2]]], "sha256": ["cd"]}
    pq.write_table(pa.table(datacomp), tmp_path / "datacomp.parquet")
    (row,) = rows(tmp_path / "datacomp.parquet")
    assert (row["alt_text"], row["extra"]) == ("", '{"face_bboxes": [[0.1, 0.2]], "sha256": "cd", "uid": "ab"}')


def test_files_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "cc12m.tsv").write_text('http://a.example/1.jpg\t"quoted" at start\nhttp://a.example/2.jpg\tan "inner quote\n')
    assert [(r["url"], r["alt_text"]) for r in rows(tmp_path / "cc12m.tsv")] == [
        ("http://a.example/1.jpg", '"quoted" at start'),
        ("http://a.example/2.jpg", 'an "inner quote'),
    ]
    (tmp_path / "cc3m.tsv").write_text("a dog\thttp://a.example/1.jpg\n")
    assert [(r["url"], r["alt_text"]) for r in rows(tmp_path / "cc3m.tsv")] == [("http://a.example/1.jpg", "a dog")]


def test_csv_keeps_text_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('url,caption,id\nhttp://a.example/1,"two\nlines, ""quoted""",007\nhttp://a.example/2,null,1e3\n')
    first, second = rows(tmp_path / "m.csv")
    assert (first["alt_text"], first["extra"]) == ('two\nlines, "quoted"', '{"id": "007"}')
    assert (second["alt_text"], second["extra"]) == ("null", '{"id": "1e3"}')


def test_folder_mapping_and_limit(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("address,words\nhttp://a.example/3,c\n")
    (tmp_path / "a.csv").write_text("address,words\nhttp://a.example/1,a\nhttp://a.example/2,b\n")
    (tmp_path / "notes.md").write_text("no manifest")
    mapped = {"url": "address", "alt_text": "words"}
    assert [row["alt_text"] for row in rows(tmp_path, columns=mapped)] == ["a", "b", "c"]
    assert [row["alt_text"] for row in rows(tmp_path, columns=mapped, limit=1)] == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "address,words\nx,y\n", r"m.csv has no url column \(columns: address, words\): name it, as in --column url=NAME"),
        ("m.csv", "", "m.csv is empty: it holds no row"),
        ("m.csv", "url,text\n", "m.csv is empty: it holds no row"),
        ("m.jsonl", "not json\n", "m.jsonl can't be read as jsonl: "),
        ("m.parquet", "not parquet", "m.parquet can't be read as parquet: "),
        ("m.csv", "url,text,text\nx,y,z\n", "m.csv has two columns of one name among: url, text, text"),
        ("m.xlsx", "x", "m.xlsx has an unknown format: use parquet, csv, tsv, jsonl, txt, each also as .gz, or a folder of them"),
        ("m.csv.gz", "not gzip", "m.csv.gz can't be read as csv: "),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_manifest(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_files_and_wrong_mappings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest at .*nowhere.csv: no such file or folder"):
        read_manifest(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match=r"manifest folder .* is empty: it holds no parquet, csv, tsv, jsonl, txt file"):
        read_manifest(tmp_path)
    (tmp_path / "m.csv").write_text("url\nhttp://a.example/1\n")
    with pytest.raises(ValueError, match=r"has no column 'adress' to take as url \(columns: url\)"):
        read_manifest(tmp_path / "m.csv", columns={"url": "adress"})
    with pytest.raises(ValueError, match="can't map 'link': a manifest has url, alt_text, concept, page_url"):
        read_manifest(tmp_path / "m.csv", columns={"link": "url"})


def test_ids_are_framed_and_stable() -> None:
    assert image_id("http://a.example/1.jpg") == IMAGE_ID
    triples = [("a", "bc", None), ("ab", "c", None), ("a", "bc", ""), ("a", "b", "c"), ("", "abc", None)]
    assert len({sample_id(*triple) for triple in triples}) == len(triples)
    assert sample_ids(["a", "ab"], ["bc", "c"], [None, None]) == [sample_id("a", "bc", None), sample_id("ab", "c", None)]


def test_distinct_keeps_the_first() -> None:
    columns = {"url": ["u", "u", "u", "v"], "alt_text": ["a"] * 4, "concept": ["c", None, "c", None]}
    table = pa.table(columns | {"page_url": list("1234")})
    left, dropped = distinct(table)
    assert (left["page_url"].to_pylist(), dropped) == (["1", "2", "4"], 1)
    again, none = distinct(left)
    assert again.equals(left)
    assert none == 0


def test_tinyweb(shared_data: Path) -> None:
    table = read_manifest(shared_data / "tinyweb" / "manifest.parquet")
    assert (table.num_rows, table["alt_text"].null_count, table["extra"].null_count) == (26_500, 0, 26_500)


def test_a_text_file_is_one_url_per_line(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "list.txt.gz", "wt") as file:
        file.write("\ufeffhttp://a.test/1.jpg\n\n  http://a.test/2.jpg \r\n")
    table = read_manifest(tmp_path / "list.txt.gz")
    assert [(row["url"], row["alt_text"], row["concept"]) for row in table.to_pylist()] == [
        ("http://a.test/1.jpg", "", None),
        ("http://a.test/2.jpg", "", None),
    ]


def test_a_text_file_beside_tables_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url\nhttp://a.test/1.jpg\n")
    (tmp_path / "README.txt").write_text("how this was made\n")
    assert read_manifest(tmp_path).num_rows == 1
