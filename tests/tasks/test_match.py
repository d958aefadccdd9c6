"""Match: prototypes and matches of a small web whose truth is known."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks import match as stage
from tasks.core.errors import MemoryCeilingError
from tasks.core.settings import DEFAULTS, Settings
from tasks.methods import blocks
from tests.conftest import REPO
from tests.tasks.small_web import FakeEncoder, SmallWeb, append_copies, make_web
from tests.tasks.wide_web import RandomEncoder, make_wide_web

CLEANING = stage.CleaningParams(
    rounds=0, k_near=20, k_mean=6, distance_share=0.3, max_gallery=500, classifier_share=0.5, min_probability=0.6, min_keep_share=0.2,
    bootstrap_share=0.1, momentum=0.9, min_change=0.005, l2=0.001, probe_steps=30,
)  # fmt: skip
PARAMS = stage.MatchParams(n_neighbors=5, n_anchors=10, max_anchor_share=0.2, anchor_confidence=0.9, n_matches=5, cleaning=CLEANING)


def run(web: SmallWeb, monkeypatch: pytest.MonkeyPatch, params: stage.MatchParams = PARAMS, settings: Settings = DEFAULTS) -> dict:
    monkeypatch.setattr(stage, "load_encoder", lambda path, threads: FakeEncoder())
    tables = {name: web.source(name) for name in ("records", "embeddings", "neighbors", "duplicates")}
    return stage.match(
        **tables,
        encoder=web.artifact("encoder"),
        concepts=web.artifact("concepts"),
        prototypes=web.sink("prototypes"),
        matches=web.sink("matches"),
        params=params,
        settings=settings,
    )


def test_images_match_what_they_show(tmp_path, monkeypatch):
    web = make_web(tmp_path)
    metrics = run(web, monkeypatch)
    found = web.source("matches").table().to_pylist()
    inside = [row for row in found if web.truth[row["sample_id"]] is not None]
    assert np.mean([row["matched_concept"] == web.truth[row["sample_id"]] for row in inside]) > 0.98
    assert all(len(row["concepts"]) == 3 and abs(sum(row["probabilities"]) - 1) < 1e-5 for row in found)
    assert sum(metrics["anchors"].values()) == sum(row["is_anchor"] for row in found) > 10


@pytest.mark.parametrize("rounds", [0, 2])
@pytest.mark.parametrize("with_concept", [True, False])
def test_copies_that_come_later_change_no_other_match(tmp_path, monkeypatch, with_concept, rounds):
    """They take places in the index' lists of neighbours, of which more are there than are used."""
    params = PARAMS.model_copy(update={"cleaning": CLEANING.model_copy(update={"rounds": rounds})})
    webs = [make_web(tmp_path / name, n_rows=120, with_concept=with_concept) for name in ("before", "after")]
    append_copies(webs[1], of=(3, 12, 40))
    before, after = ([run(web, monkeypatch, params), web.source("matches").table().to_pylist()][1] for web in webs)
    assert len(after) == len(before) + 3
    assert [row for row in after if row["sample_id"] in webs[0].truth] == before


def test_cleaning_moves_the_prototypes_and_keeps_the_matches(tmp_path, monkeypatch):
    web = make_web(tmp_path)
    run(web, monkeypatch)
    before = {row["concept"]: row["embedding"] for row in web.source("prototypes").table().to_pylist() if row["kind"] == "visual"}
    run(web, monkeypatch, PARAMS.model_copy(update={"cleaning": CLEANING.model_copy(update={"rounds": 2})}))
    after = {row["concept"]: row["embedding"] for row in web.source("prototypes").table().to_pylist() if row["kind"] == "visual"}
    assert all(0.9 < np.dot(before[name], after[name]) < 1 - 1e-6 for name in before)
    found = [row for row in web.source("matches").table().to_pylist() if web.truth[row["sample_id"]] is not None]
    assert np.mean([row["matched_concept"] == web.truth[row["sample_id"]] for row in found]) > 0.98


def test_no_anchor_is_of_the_test_split(tmp_path, monkeypatch):
    web = make_web(tmp_path)
    run(web, monkeypatch)
    test = {row["sample_id"] for row in web.source("duplicates").table().to_pylist() if row["split"] == "test"}
    anchors = {row["sample_id"] for row in web.source("matches").table().to_pylist() if row["is_anchor"]}
    assert len(test) == 12
    assert not test & anchors


def test_prototypes_hold_texts_pictures_and_other_senses(tmp_path, monkeypatch):
    web = make_web(tmp_path)
    run(web, monkeypatch)
    kinds = [(row["concept"], row["kind"], row["name"]) for row in web.source("prototypes").table().to_pylist()]
    assert kinds == sorted(kinds)
    assert ("moss", "distractor", "lemon") in kinds
    assert len(kinds) == 7


@pytest.mark.parametrize("case", [{"with_concept": False}, {"with_text": False}, {"equal_embeddings": True}, {"names": ("moss", "rust")}])
def test_poor_webs_give_answers(tmp_path, monkeypatch, case):
    web = make_web(tmp_path, n_rows=60, **case)
    assert run(web, monkeypatch)["rows"] == 60


def made(web: SmallWeb, width: int, monkeypatch: pytest.MonkeyPatch, params: stage.MatchParams = PARAMS) -> tuple[pa.Table, pa.Table]:
    """Prototypes and matches of a wide web."""
    monkeypatch.setattr(stage, "load_encoder", lambda path, threads: RandomEncoder(width))
    tables = {name: web.source(name) for name in ("records", "embeddings", "neighbors", "duplicates")}
    sinks = {name: web.sink(name) for name in ("prototypes", "matches")}
    stage.match(**tables, **sinks, encoder=web.artifact("encoder"), concepts=web.artifact("concepts"), params=params)
    return web.source("prototypes").table(), web.source("matches").table()


@pytest.mark.parametrize("rounds", [0, 2])
def test_blocks_change_nothing(tmp_path, monkeypatch, rounds):
    web, params = make_wide_web(tmp_path, 2500, 12), PARAMS.model_copy(update={"cleaning": CLEANING.model_copy(update={"rounds": rounds})})
    whole = made(web, 12, monkeypatch, params)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5000)
    for before, after in zip(whole, made(web, 12, monkeypatch, params), strict=True):
        for name in before.column_names:
            kind = before.schema.field(name).type
            if pa.types.is_floating(getattr(kind, "value_type", kind)):
                first, second = (np.array(table[name].to_pylist(), float) for table in (before, after))
                assert first == pytest.approx(second, abs=1e-6, nan_ok=True), name
            else:
                assert before[name].equals(after[name]), name


def test_nothing_is_left_of_the_scratch_files(tmp_path, monkeypatch):
    web = make_web(tmp_path, n_rows=60)
    left = web.root / "matches" / ".scratch.1.tmp"
    left.mkdir(parents=True)
    (left / "image_embedding").write_bytes(b"of a killed run")
    run(web, monkeypatch)
    assert not left.exists()
    monkeypatch.setattr(stage, "match_table", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(web, monkeypatch)
    assert [path.name for path in (web.root / "matches").iterdir()] == ["crawl=alpha"]


def test_more_than_the_ceiling_is_refused(tmp_path, monkeypatch):
    per_row = stage.held_bytes(1_000_000, 10, PARAMS) / 1_000_000
    assert 500 < per_row < 1000
    rounds = PARAMS.model_copy(update={"cleaning": CLEANING.model_copy(update={"rounds": 1})})
    assert stage.held_bytes(1_000_000, 1000, rounds) > 1_000_000 * (per_row + 8 * 1000)
    web = make_web(tmp_path, n_rows=60)
    monkeypatch.setattr(stage, "load_encoder", lambda path, threads: FakeEncoder())
    message = r"matching 60 samples against 3 concepts needs .* GB, SLUICE_MEMORY_GB allows 1e-05: match fewer crawls, or raise"
    with pytest.raises(MemoryCeilingError, match=message):
        run(web, monkeypatch, settings=Settings(memory_gb=1e-5))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Few rows, which have every library imported, and 20,000, of 256 numbers."""
    return tuple(make_wide_web(tmp_path_factory.mktemp("wide"), n_rows, 256).root for n_rows in (100, 20_000))


HELD = """
import sys, tracemalloc
from pathlib import Path
import pyarrow, pytest
from tasks.methods import blocks
from tests.tasks import test_match
from tests.tasks.small_web import SmallWeb
few, many = map(Path, sys.argv[1:])
blocks.BLOCK_BYTES = 1 << 18
with pytest.MonkeyPatch.context() as patch:
    test_match.made(SmallWeb(few, ["alpha"], {}), 256, patch)
    tracemalloc.start()
    test_match.made(SmallWeb(many, ["alpha"], {}), 256, patch)
print(pyarrow.default_memory_pool().max_memory() + tracemalloc.get_traced_memory()[1])
"""


def script(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, where Arrow gives back what it no longer needs."""
    alone = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}  # each thread of OpenBLAS has buffers of its own
    environment = {**os.environ, **alone}
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=REPO, env=environment, capture_output=True, text=True)


def test_what_is_held_is_what_the_ceiling_counts(wide):
    """NumPy's and Python's memory by tracemalloc, Arrow's by its pool; small blocks and a shard come on top."""
    done = script(HELD, *wide)
    assert done.returncode == 0, done.stderr
    assert 0.8 < int(done.stdout) / stage.held_bytes(20_000, 4, PARAMS) < 1.4


CEILING = """
import resource, sys
from pathlib import Path
import pytest
from tasks.methods import blocks
from tests.tasks import test_match
from tests.tasks.small_web import SmallWeb
few, many, n_bytes = *map(Path, sys.argv[1:3]), int(sys.argv[3])
blocks.BLOCK_BYTES = 1 << 20
with pytest.MonkeyPatch.context() as patch:
    test_match.made(SmallWeb(few, ["alpha"], {}), 256, patch)
    held = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + n_bytes, -1))
    test_match.made(SmallWeb(many, ["alpha"], {}), 256, patch)
"""


def test_memory_does_not_grow_with_the_embeddings(wide):
    """20,000 rows of 256 numbers as float32 are 20 MB: image, text and smoothed text, held beside the rest, would not fit."""
    done = script(CEILING, *wide, 70 << 20)  # 40 to 60 are needed, by the processor: OpenBLAS' buffers differ
    assert done.returncode == 0, done.stderr
    assert script(CEILING, *wide, 10 << 20).returncode != 0
