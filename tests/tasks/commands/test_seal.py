"""Sealed crawls leave the graph and nothing else: the same bytes, nothing made again, and back."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.cli import main
from tasks.commands import seal
from tasks.core.params import crawl_names, read_params
from tests.workspace import environment, repro, set_params, table_bytes

STAGE = """
import pathlib, sys, yaml
stage, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
if stage == "index":
    values = yaml.safe_load(open("params.yaml"))
    text = " ".join((source / name / "part").read_text() for name in [*values["sealed"], *values["crawls"]])
else:
    text = (source / "part").read_text()
print("made", stage, target)
target.mkdir(parents=True, exist_ok=True)
(target / "part").write_text(f"{stage}({text})")
"""
GRAPH = """
stages:
  ingest:
    foreach: ${crawls}
    do:
      cmd: exec python stage.py ingest data/crawls/${item} data/records/${item}
      deps: ["data/crawls/${item}"]
      outs: ["data/records/${item}": {persist: true}]
  embed:
    foreach: ${crawls}
    do:
      cmd: exec python stage.py embed data/records/${item} data/embeddings/${item}
      deps: ["data/records/${item}", data/encoder]
      params: [embed]
      outs: ["data/embeddings/${item}"]
  index:
    cmd: exec python stage.py index data/embeddings data/index
    deps: [data/embeddings]
    params: [crawls, sealed]
    outs: [data/index]
"""
NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of three crawls with their stages and one over all, built."""
    top = tmp_path_factory.mktemp("original") / "workspace"
    files = {
        "stage.py": STAGE,
        "dvc.yaml": GRAPH,
        "params.yaml": "# oldest first\ncrawls: [a, b, c]\nsealed: []\nembed: {format: 1}  # as it is\n",
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n    site_cache_dir = ../.site\n",
        "data/encoder": "weights",
        **{f"data/crawls/{name}/part": name for name in NAMES},
    }
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        dvc("add", *(f"data/crawls/{name}" for name in NAMES))
        dvc("repro")
    return top


@pytest.fixture
def built(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    shutil.copytree(original, tmp_path / "workspace")
    monkeypatch.chdir(tmp_path / "workspace")
    return tmp_path / "workspace"


def dvc(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, env=environment(Path.cwd()))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tables() -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(Path("data").rglob("part"))}


def test_sealing_makes_nothing_again_and_changes_no_byte(built: Path) -> None:
    before = tables()
    assert main(["crawl", "seal", "a", "b"]) == 0
    assert Path("params.yaml").read_text() == "# oldest first\ncrawls: [c]\nsealed:\n  - a\n  - b\nembed: {format: 1}  # as it is\n"
    assert crawl_names(read_params()) == NAMES
    assert set(yaml.safe_load(Path("dvc.lock").read_text())["stages"]) == {"ingest@c", "embed@c", "index"}
    assert sorted(path.name for path in Path("data/crawls").glob("*.dvc")) == ["c.dvc"]
    assert "made" not in dvc("repro")
    assert dvc("status", "--json").strip() == "{}"
    assert "made index" in dvc("repro", "--force", "--single-item", "index")
    assert tables() == before


def test_an_entry_holds_few_crawls(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables()
    monkeypatch.setattr(seal, "PER_ENTRY", 2)
    assert main(["crawl", "seal", "a"]) == 0
    assert main(["crawl", "seal", "b", "c"]) == 0
    entries = {path.name: yaml.safe_load(path.read_text()) for path in sorted(Path("sealed").iterdir())}
    held = {name: sorted({Path(out["path"]).name for out in entry["outs"]}) for name, entry in entries.items()}
    assert held == {"0000.dvc": ["a", "b"], "0001.dvc": ["c"]}
    assert [entry["desc"] for entry in entries.values()] == ["Sealed crawls: a to b", "Sealed crawls: c to c"]
    assert "made" not in dvc("repro")
    assert main(["crawl", "unseal", "--all"]) == 0
    assert tables() == before


def test_sealed_data_comes_back_out_of_the_cache(built: Path) -> None:
    before = tables()
    assert main(["crawl", "seal", "--keep", "1"]) == 0
    for name in ("crawls", "records", "embeddings"):
        (built / "data" / name / "a/part").unlink()
    dvc("checkout", "sealed/0000.dvc")
    assert tables() == before


@pytest.mark.slow
def test_a_later_crawl_runs_its_own_stages_and_the_one_over_all(built: Path) -> None:
    assert main(["crawl", "seal", "--keep", "0"]) == 0
    Path("data/crawls/d").mkdir()
    Path("data/crawls/d/part").write_text("d")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("crawls: []", "crawls: [d]"))
    made = [line.split()[1:] for line in dvc("repro").splitlines() if line.startswith("made")]
    assert made == [["ingest", "data/records/d"], ["embed", "data/embeddings/d"], ["index", "data/index"]]
    assert Path("data/index/part").read_text() == "index(" + " ".join(f"embed(ingest({name}))" for name in "abcd") + ")"


@pytest.mark.slow
def test_unsealing_gives_the_graph_back(built: Path) -> None:
    before, entry = tables(), Path("data/crawls/b.dvc").read_text()
    assert main(["crawl", "seal", "a", "b", "c"]) == 0
    assert main(["crawl", "unseal", "b", "c"]) == 0
    assert crawl_names(read_params()) == NAMES
    assert read_params()["sealed"] == ["a"]
    assert yaml.safe_load(Path("data/crawls/b.dvc").read_text()) == yaml.safe_load(entry)
    assert "made index" not in dvc("repro")
    assert tables() == before
    assert main(["crawl", "unseal", "--all"]) == 0
    assert not list(Path("sealed").iterdir())
    dvc("repro")
    assert tables() == before


@pytest.mark.slow
def test_a_killed_run_is_ended_by_the_next_one(built: Path) -> None:
    Path("params.yaml").write_text("crawls: [b, c]\nsealed: [a]\nembed: {format: 1}\n")  # killed after its first step
    assert main(["crawl", "seal", "b"]) == 0
    outs = [out["path"] for out in yaml.safe_load(Path("sealed/0000.dvc").read_text())["outs"]]
    assert outs == [f"data/{table}/{name}" for name in ("a", "b") for table in ("crawls", "embeddings", "records")]
    assert "made" not in dvc("repro")


@pytest.mark.slow
def test_a_sealed_crawl_can_be_removed(built: Path) -> None:
    assert main(["crawl", "seal", "a", "b"]) == 0
    assert main(["crawl", "remove", "a", "--purge"]) == 0
    assert crawl_names(read_params()) == ["b", "c"]
    assert not Path("data/records/a").exists()
    assert "made index" in dvc("repro")
    assert "ingest(a)" not in Path("data/index/part").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seal", "b"], "the order of arrival has to stay: seal the oldest open crawls, a"),
        (["seal", "x"], "there is no open crawl 'x' (open: a, b, c)"),
        (["seal"], "say which crawls to seal"),
        (["seal", "a", "--keep", "1"], "say which crawls to seal"),
        (["seal", "--keep", "-1"], "it must be 0 or more"),
        (["unseal", "a"], "crawl 'a' is not sealed (sealed: none)"),
    ],
)
def test_what_cannot_be_is_said(built: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("params.yaml").read_text()
    assert main(["crawl", *words]) == 1
    assert message in capsys.readouterr().err
    assert Path("params.yaml").read_text() == before


def test_only_the_latest_can_be_opened_and_sealed_ones_are_not_fetched_again(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crawl", "seal", "a", "b"]) == 0
    assert main(["crawl", "unseal", "a"]) == 1
    assert "open the latest sealed crawls, a, b" in capsys.readouterr().err
    assert main(["crawl", "refetch", "a"]) == 1
    assert "crawl 'a' is sealed" in capsys.readouterr().err


def test_a_crawl_that_would_be_made_again_is_not_sealed(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/records/a/part").write_text("damaged")
    assert main(["crawl", "seal", "a"]) == 1
    assert "ingest@a would be made again: run `dvc repro` first" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_tables_stay_the_same_bytes(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "workspace"
    shutil.copytree(finished, top, symlinks=True)
    set_params(top, demos=[])
    monkeypatch.chdir(top)
    before = table_bytes(top)
    assert main(["crawl", "seal", "demo-1"]) == 0
    assert "Running stage" not in repro(top, "evaluate").stdout
    repro(top, "--force", "--single-item", "index", "deduplicate", "match", "score", "curate")
    assert {name: data for name, data in table_bytes(top).items() if "catalog" not in name} == {
        name: data for name, data in before.items() if "catalog" not in name
    }
