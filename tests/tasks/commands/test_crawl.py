"""Crawls come in whole or not at all, and go out again; each bad input is one line that names it."""

import re
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as pq
import pytest
import yaml

from tasks.cli import main
from tasks.commands import crawl as crawl_command
from tasks.core.crawls import read_blocked, read_manifest, read_settings
from tasks.core.graph import read_graph
from tests.tasks.conftest import PARAMS

MANIFEST = """url,alt_text,concept,site
http://demo.test/1.jpg,a cat,cat,x
http://demo.test/2.jpg,a dog,dog,y
http://demo.test/2.jpg,a dog,dog,z
http://demo.test/2.jpg,a hound,dog,z
"""


@pytest.fixture
def tracked(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under DVC, with a manifest in it."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project / ".site"))
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (project / "new.csv").write_text(MANIFEST)
    return project


def files_of(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if ".dvc/" not in str(path) and ".site" not in str(path))


def test_add_freezes_manifest_and_settings_and_appends_the_name(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--allow-host", "intern.test", "--connect", "demo.test=127.0.0.1:8000"]
    assert main(["crawl", "add", "nightly-1", "new.csv", *options]) == 0
    folder = tracked / "data/crawls/nightly-1"
    table = read_manifest(folder)
    assert table.num_rows == 3
    assert table["image_id"].to_pylist() == sorted(table["image_id"].to_pylist())
    assert sorted(table["url"].to_pylist()) == ["http://demo.test/1.jpg", "http://demo.test/2.jpg", "http://demo.test/2.jpg"]
    settings = read_settings(folder)
    assert (settings.allow_hosts, settings.connect) == (["intern.test"], {"demo.test": "127.0.0.1:8000"})
    assert settings.max_side == 512
    expected = PARAMS.replace("crawls: [demo-1, demo-2]", "crawls: [demo-1, demo-2, nightly-1]")
    assert (tracked / "params.yaml").read_text() == expected
    assert (tracked / "data/crawls/nightly-1.dvc").is_file()
    out = capsys.readouterr().out
    assert out.startswith("added crawl 'nightly-1': 3 rows (1 repeated ones left out), 2 images\n")


def test_add_takes_columns_and_a_limit(tracked: Path) -> None:
    (tracked / "odd.csv").write_text("bild,wort\nhttp://demo.test/1.jpg,eins\nhttp://demo.test/2.jpg,zwei\nhttp://demo.test/3.jpg,drei\n")
    assert main(["crawl", "add", "odd", "odd.csv", "--columns", "url=bild,alt_text=wort", "--limit", "2"]) == 0
    rows = read_manifest(tracked / "data/crawls/odd").to_pylist()
    assert sorted((row["url"], row["alt_text"], row["concept"]) for row in rows) == [
        ("http://demo.test/1.jpg", "eins", None),
        ("http://demo.test/2.jpg", "zwei", None),
    ]


def test_remove_keeps_the_data_unless_purged(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crawl", "add", "nightly-1", "new.csv"]) == 0
    made = tracked / "data/records/nightly-1"
    made.mkdir(parents=True)
    assert main(["crawl", "remove", "nightly-1"]) == 0
    assert (tracked / "params.yaml").read_text() == PARAMS
    assert (tracked / "data/crawls/nightly-1/manifest.parquet").is_file()
    assert main(["crawl", "remove", "nightly-1", "--purge"]) == 0
    assert not (tracked / "data/crawls/nightly-1").exists()
    assert not (tracked / "data/crawls/nightly-1.dvc").exists()
    assert not made.exists()
    assert main(["crawl", "remove", "demo-2"]) == 0
    values = yaml.safe_load((tracked / "params.yaml").read_text())
    assert (values["crawls"], values["demos"]) == (["demo-1"], ["demo-1"])
    capsys.readouterr()
    assert main(["crawl", "remove", "demo-1"]) == 1
    message = "error: crawl 'demo-1' is what params.yaml says for prepare_encoder.crawl: name another crawl there first\n"
    assert capsys.readouterr().err == message


def test_list_shows_rows_and_state(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crawl", "add", "nightly-1", "new.csv"]) == 0
    capsys.readouterr()
    assert main(["crawl", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["demo-1", "made", "by", "`dvc", "repro`"]
    assert lines[4].split() == ["nightly-1", "3", "2", "added"]


NAME = "is not allowed: use 1 to 63 of a-z, 0-9, '_' and '-', starting with a letter or digit"
NO_URL = "manifest bad.csv has no url column (columns: bild, wort)"
BAD = [
    (["../evil", "new.csv"], "", f"crawl name '../evil' {NAME}"),
    (["x;rm", "new.csv"], "", f"crawl name 'x;rm' {NAME}"),
    (["demo-1", "new.csv"], "", "crawl 'demo-1' is in params.yaml already: pick another name, or remove it first"),
    (["new", "nowhere.csv"], "", "no manifest at nowhere.csv: no such file or folder"),
    (["new", "bad.csv"], "url,alt_text\n", "manifest bad.csv is empty: it holds no row"),
    (["new", "bad.csv"], "bild,wort\na,b\n", NO_URL),
    (["new", "new.csv", "--limit", "0"], "", "--limit 0 takes no row: it must be 1 or more"),
    (["new", "new.csv", "--columns", "url"], "", "--columns 'url' is not of the form KEY=VALUE"),
    (["new", "new.csv", "--connect", "a.test=b"], "", "--connect 'a.test=b' is not of the form HOST=ADDR:PORT"),
    (
        ["new", "bad.csv"],
        "url,concept\nhttp://demo.test/1.jpg,zebra\nhttp://demo.test/2.jpg,cat\n",
        "the manifest names concepts that no file in data/concepts defines: 'zebra' (1 rows); known: cat, dog; "
        "add them to data/concepts/mine.yaml as `- {name: ..., definition: ...}` under `concepts:`",
    ),
]


@pytest.mark.parametrize(("words", "bad", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], bad: str, message: str
) -> None:
    (project / "new.csv").write_text(MANIFEST)
    (project / "bad.csv").write_text(bad)
    before = files_of(project)
    assert main(["crawl", "add", *words]) == 1
    found = capsys.readouterr().err
    assert found.startswith(f"error: {message}")
    assert found.count("\n") == 1
    assert files_of(project) == before
    assert (project / "params.yaml").read_text() == PARAMS


def test_two_concepts_of_one_name_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "new.csv").write_text(MANIFEST)
    (project / "data/concepts/mine.yaml").write_text("concepts: [{name: cat, definition: a tracked vehicle}]")
    assert main(["crawl", "add", "new", "new.csv"]) == 1
    message = "error: concept 'cat' stands twice, in data/concepts/mine.yaml and data/concepts/pets.yaml: remove or rename one\n"
    assert capsys.readouterr().err == message


def test_a_misspelt_setting_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "new.csv").write_text(MANIFEST)
    (project / "params.yaml").write_text(PARAMS.replace("  quality:", "  qualty:"))
    assert main(["crawl", "add", "new", "new.csv"]) == 1
    found = capsys.readouterr().err
    assert found.startswith("error: params.yaml: key 'ingest.quality' is missing; params.yaml: unknown key 'ingest.qualty' (known: ")
    assert found.count("\n") == 1


def test_a_full_disk_leaves_nothing(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(28, "No space left on device", "manifest.parquet")

    (project / "new.csv").write_text(MANIFEST)
    monkeypatch.setattr(pq, "write_table", full)
    before = files_of(project)
    assert main(["crawl", "add", "new", "new.csv"]) == 1
    message = "error: no space left on the disk (manifest.parquet): free some and try again, nothing was changed\n"
    assert capsys.readouterr().err == message
    assert [file for file in files_of(project) if file != "data/crawls"] == before


def test_a_dvc_that_fails_leaves_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "new.csv").write_text(MANIFEST)
    assert main(["crawl", "add", "new", "new.csv"]) == 1
    assert re.match(r"error: `dvc add data/crawls/new` failed: .*(not inside|\.dvc)", capsys.readouterr().err)
    assert (project / "params.yaml").read_text() == PARAMS
    assert list((project / "data/crawls").iterdir()) == []


def test_purge_knows_every_path_of_a_crawl(project: Path) -> None:
    per_crawl = {out.name for entry in read_graph().values() for out in entry.outs if "${item}" in out.template}
    assert {"images", "records", "validity", "embeddings", "validation"} <= per_crawl
    for name in per_crawl:
        (project / "data" / name / "gone").mkdir(parents=True)
    crawl_command.purge_crawl("gone", project / "data/crawls/gone")
    assert not list((project / "data").glob("[!v]*/gone"))


def test_block_lists_are_frozen_with_the_crawl(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tracked / "params.yaml").write_text(PARAMS.replace("block_lists: []", "block_lists: [mine.txt]"))
    (tracked / "mine.txt").write_text("bad.test\nnot a domain\n")
    assert main(["crawl", "add", "new", "new.csv"]) == 1
    assert "error: block list: mine.txt, line 2: 'not a domain' is no domain, MD5 or SHA-256" in capsys.readouterr().err
    (tracked / "mine.txt").write_text("# why\nbad.test\n" + "0" * 64)
    assert main(["crawl", "add", "new", "new.csv"]) == 0
    (tracked / "mine.txt").unlink()
    assert read_blocked(tracked / "data/crawls/new") == ["0" * 64, "bad.test"]
