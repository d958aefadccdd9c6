"""The desk over a small project: what it finds, what it saves, and what SQL from a page can't do."""

import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.commands import desk as desk_module
from tasks.commands import questions
from tasks.commands.desk import MAX_CELL, MAX_ROWS, ProjectDesk
from tasks.commands.reviews import in_force
from tasks.commands.similar import OpenIndex
from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.methods.explore_app import Refused
from tasks.methods.search import build_index
from tasks.methods.tars import Entry, write_images
from tests.hostile import TEXTS
from tests.tasks import test_catalog
from tests.tasks.conftest import make_project, make_record, write_table
from tests.tasks.test_catalog import ids, make_sample

INDEX = """\
index:
  {kind: auto, n_neighbors: 3, max_exact: 9, max_hnsw: 9, hnsw_effort: 8, memory_gb: 1.0, lists_per_sqrt: 4.0,
    points_per_list: 8, n_probes: 1, max_growth: 4.0, max_drift: 1.5, n_recall_samples: 1}
"""
PRIORITIES = {0: 0.2, 1: 0.9, 2: 0.5, 4: 0.7}


def make_desk() -> ProjectDesk:
    """The desk of a small dataset made in the working directory."""
    params = Path("params.yaml").read_text().replace("crawls: [demo-1, demo-2]", "crawls: [alpha, beta]")
    Path("params.yaml").write_text(params + "validate: {min_side: 25, max_aspect_ratio: 5.0}\ncurate: {min_text_score: 0.05}\n" + INDEX)
    test_catalog.build()
    texts = {0: "a red circle", 1: "A Blue square"}
    rows = [
        make_sample(number, review_priority=PRIORITIES.get(number), alt_text=texts.get(number, "x"), confidence=0.5, split="train",
                    suggested_concept="cat", **changes)
        for number, changes in enumerate(
            [{}, {"curated_concept": "dog"}, {"reason": "duplicate"}, {"reason": "timeout", "status": "failed"}, {"reason": "forgotten"},
             {"reason": "label_noise"}]
        )
    ]  # fmt: skip
    write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
    test_catalog.rebuild()
    write_table(RECORDS, Path("data/records"), [make_record(number) for number in range(3)])
    return ProjectDesk("ada")


@pytest.fixture
def desk(project: Path) -> ProjectDesk:
    return make_desk()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    """A project for all tests that only ask."""
    top = make_project(tmp_path_factory.mktemp("desk") / "project", repo)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        make_desk()
    return top


@pytest.fixture
def asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectDesk:
    monkeypatch.chdir(place)
    return ProjectDesk("ada")


def found(rows: list[dict]) -> set[str]:
    return {row["sample_id"] for row in rows}


def test_words_states_and_concepts(asked: ProjectDesk) -> None:
    every = {"state": "all", "concept": "", "limit": 10}
    assert found(asked.samples("blue", **every)) == set(ids(1))
    assert found(asked.samples("/1.jpg", **every)) == set(ids(1))
    assert found(asked.samples(ids(2)[0][:10], **every)) == set(ids(2))
    assert found(asked.samples("", state="kept", concept="dog", limit=10)) == set(ids(1))
    assert found(asked.samples("", state="duplicate", concept="", limit=10)) == set(ids(2))
    assert found(asked.samples("", **every)) == set(ids(0, 1, 2, 5))  # no row without a picture that may be shown
    assert asked.samples("%", **every) == []
    assert asked.states == ["all", "kept", "dropped", "reviewed", "duplicate", "forgotten", "label_noise", "timeout", "unreachable"]


def test_neighbours_copies_and_story(asked: ProjectDesk) -> None:
    first, second, third = ids(0, 1, 2)
    assert [row["sample_id"] for row in asked.neighbours(first, limit=5)] == [third, second]
    about = asked.about(third)
    assert [row["sample_id"] for row in about["copies"]] == [first]
    assert about["ways"] == ["duplicate: it is a copy of another row"]
    assert about["story"][0][0] == "Sample"
    with pytest.raises(Refused, match="the catalog has no sample 0{32}"):
        asked.sample("0" * 32)


def test_the_queue_goes_by_what_a_verdict_is_worth(desk: ProjectDesk) -> None:
    first, second, third = ids(0, 1, 2)
    assert desk.n_waiting() == 3  # the forgotten one has no picture, the others no doubt
    row = desk.next_in_queue()
    assert row is not None
    assert row["sample_id"] == second
    desk.say(second, "corrected", "cat")
    desk.skip(third)
    row = desk.next_in_queue()
    assert row is not None
    assert row["sample_id"] == first
    desk.say(first, "dropped", None)
    assert desk.next_in_queue() is None
    assert desk.said() == [second, first]
    pending = desk.pending(first)
    assert pending is not None
    assert (pending["verdict"], pending["reviewer"], pending["sha256"]) == ("dropped", "ada", make_record(0)["sha256"])
    desk.say(first, "withdrawn", None)
    assert list(in_force()) == [second]
    assert desk.n_waiting() == 1


def test_a_verdict_that_can_not_stand_is_refused(desk: ProjectDesk) -> None:
    with pytest.raises(Refused, match="needs one of the dataset's concepts, not 'emu'"):
        desk.say(ids(0)[0], "corrected", "emu")
    with pytest.raises(Refused, match="no picture to judge"):
        desk.say(ids(4)[0], "dropped", None)
    assert in_force() == {}


def test_pictures_that_may_be_shown_and_no_others(desk: ProjectDesk) -> None:
    Path("data/images/alpha").mkdir(parents=True)
    write_images(Path("data/images/alpha/00000.tar"), [Entry(make_record(number)["key"], "png", b"bytes", "", {}) for number in range(6)])
    assert desk.picture(ids(0)[0]) == (b"bytes", "png")
    for number in (3, 4):
        with pytest.raises(Refused, match="no picture to show"):
            desk.picture(ids(number)[0])


OUTSIDE = "outside.csv"
READING = (
    "SELECT * FROM read_csv('{outside}')", "SELECT * FROM '{outside}'", "FROM read_text('{outside}')", "FROM read_blob('{outside}')",
    "FROM glob('{folder}/*')", "SELECT * FROM read_parquet('{folder}/data/catalog/../../{name}')", "FROM sniff_csv('{outside}')",
    "FROM read_json('{outside}')", "FROM sqlite_scan('{outside}', 't')", "FROM parquet_metadata('{outside}')",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')", "FROM query('FROM read_text(''{outside}'')')", "SELECT getenv('HOME')",
    "FROM read_text('/etc/passwd')", "FROM read_text('/proc/self/environ')", "FROM duckdb_secrets() LIMIT (FROM which_secret('x', 's3'))",
)  # fmt: skip
CHANGING = (
    "COPY samples TO '{outside}'",
    "COPY (SELECT 1) TO 'data/catalog/x.csv'", "WITH x AS (COPY (SELECT 1) TO 'data/catalog/x.csv') SELECT 1",
    "EXPORT DATABASE 'data/catalog/x'", "ATTACH '{outside}.db'", "DETACH sluice", "CREATE TABLE t AS SELECT 1", "DROP VIEW samples",
    "INSERT INTO samples SELECT * FROM samples", "DELETE FROM tallied.samples", "UPDATE tallied.samples SET n_rows = 0", "INSTALL httpfs",
    "LOAD httpfs", "SET enable_external_access = true", "SET lock_configuration = false", "RESET allowed_directories", "SET threads = 64",
    "PRAGMA memory_limit='64GB'", "CALL enable_logging()", "CHECKPOINT", "USE memory", "SET VARIABLE root = '/'",
    "EXPLAIN ANALYZE SET threads = 1",
    "EXPLAIN COPY samples TO '{outside}'", "SELECT 1; DROP VIEW samples", "SELECT 1) UNION ALL SELECT * FROM (SELECT 2", "SELECT 1) --",
    "PREPARE p AS SELECT 1", "BEGIN", "VACUUM", "",
)  # fmt: skip


@pytest.mark.parametrize("sql", [*READING, *CHANGING])
def test_sql_reads_the_version_and_does_nothing_else(asked: ProjectDesk, sql: str) -> None:
    outside = Path(OUTSIDE).absolute()
    outside.write_text("secret\nvalue\n")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(Refused) as refusal:
        asked.ask(sql.format(outside=outside, folder=outside.parent, name=outside.name))
    assert "value" not in str(refusal.value)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_settings_stay_as_they_are(asked: ProjectDesk) -> None:
    names = ("enable_external_access", "lock_configuration", "threads", "memory_limit")
    sql = f"SELECT name, value FROM duckdb_settings() WHERE name IN {names}"
    _, rows, _, _ = asked.ask(sql)
    assert dict(rows) == {"enable_external_access": "false", "lock_configuration": "true", "threads": "2", "memory_limit": "953.6 MiB"}


def test_answers_are_bounded_in_rows_values_and_time(asked: ProjectDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    names, rows, more, _ = asked.ask("SELECT range AS n, repeat('x', 1000000) AS long FROM range(5000);")
    assert (names, len(rows), more) == (["n", "long"], MAX_ROWS, True)
    assert {len(row[1]) for row in rows} == {MAX_CELL}
    monkeypatch.setattr(questions, "SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(Refused, match="took more than 0.3 seconds"):
        asked.ask("WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t")
    assert time.monotonic() - began < 5
    monkeypatch.setattr(questions, "SECONDS", 20.0)
    with pytest.raises(Refused, match="Out of Memory"):
        asked.ask("SELECT list(i) FROM range(400000000) AS t(i)")


def test_questions_run_beside_each_other(asked: ProjectDesk) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(len(asked.ask("FROM range(100)")[1]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [100] * 8


class FakeEncoder:
    image_size = 4

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.array([[1, 0] if "circle" in texts[0] else [0, 1]], np.float32)

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        return np.array([[1, 0] if pixels[0, 0, 0, 0] > 128 else [0, 1]], np.float32)


@pytest.fixture
def seeing(desk: ProjectDesk, monkeypatch: pytest.MonkeyPatch) -> ProjectDesk:
    """The desk with an index of three samples and an encoder that knows circles and light."""
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.4]], np.float16)
    opened = OpenIndex(build_index(vectors), vectors, pa.table({"sample_id": ids(0, 1, 2), "crawl": ["alpha"] * 3}), 1)
    monkeypatch.setattr(desk_module, "open_index", lambda: opened)
    monkeypatch.setattr(desk_module, "open_encoder", FakeEncoder)
    return desk


def test_like_a_text_and_like_a_picture(seeing: ProjectDesk) -> None:
    first, second, third = ids(0, 1, 2)
    rows = seeing.like_text("a circle", state="all", concept="", limit=3)
    assert [row["sample_id"] for row in rows] == [first, third, second]
    assert rows[0]["similarity"] == pytest.approx(1.0)
    assert [row["sample_id"] for row in seeing.like_text("a circle", state="duplicate", concept="", limit=3)] == [third]
    stream = BytesIO()
    Image.new("RGB", (30, 20)).save(stream, "PNG")
    assert seeing.like_picture(stream.getvalue(), limit=1)[0]["sample_id"] == second
    for data in (b"", b"no picture", stream.getvalue()[:40]):
        with pytest.raises(Refused, match="that is no picture that can be read"):
            seeing.like_picture(data, limit=1)


def test_without_an_index_a_sentence_says_so(asked: ProjectDesk) -> None:
    with pytest.raises(Refused, match="no index in data/index: run `dvc repro index` first"):
        asked.like_text("a circle", state="all", concept="", limit=3)


def test_hostile_words_find_their_rows_and_nothing_else(desk: ProjectDesk) -> None:
    rows = [make_sample(number, alt_text=text) for number, text in enumerate(TEXTS)]
    write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
    test_catalog.rebuild()
    for number, text in enumerate(TEXTS[:-1]):
        words = text.strip()
        assert ids(number)[0] in found(desk.samples(words, state="all", concept="", limit=50)), text
    assert all(len(row["alt_text"]) <= MAX_CELL for row in desk.samples("", state="all", concept="", limit=50))
