"""What `score` reads, of a small web."""

import numpy as np

from tasks.core.concepts import Concept, load_concepts
from tasks.score_rows import Rows, named_words, of_first, read_pixels, read_rivals, read_rows
from tests.tasks.small_web import COLOURS, SmallWeb, make_web
from tests.tasks.test_score import write_matches, write_prototypes

NAMES = ["moss", "rust", "slate"]


def read(web: SmallWeb) -> Rows:
    tables = (web.source(name) for name in ("records", "embeddings", "neighbors", "matches", "duplicates", "reviews"))
    (web.root / "scratch").mkdir()
    return read_rows(*tables, NAMES, web.root / "scratch", 40)


def test_rows_and_pixels_stand_in_the_order_of_the_index(tmp_path):
    web = make_web(tmp_path, n_rows=30, off_topic=0.0)
    write_matches(web)
    rows = read(web)
    ids = rows.samples.sample_ids.to_pylist()
    assert ids == web.source("neighbors").table()["sample_id"].to_pylist()
    given = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    assert [NAMES[code] for code in rows.samples.given] == [given[name] for name in ids]
    assert [NAMES[code] for code in rows.matched.argmax(1)] == [web.truth[name] for name in ids]
    assert rows.reviewed.tolist() == [-1] * 30
    pixels = read_pixels(rows, web.artifact("images"), 8, tmp_path / "scratch")
    assert pixels.shape == (30, 8, 8, 3)
    expected = np.array([COLOURS[web.truth[name]] for name in ids])
    assert np.abs(pixels.mean((1, 2)) - expected).max() < 25


def test_rivals_are_the_distractors_that_are_no_concept(tmp_path):
    web = make_web(tmp_path, n_rows=30)
    write_matches(web)
    rows, known = read(web), load_concepts(tmp_path / "concepts")
    write_prototypes(web, {"moss": ["lemon", "Iron"], "slate": ["tram"]})
    rivals = read_rivals(web.source("prototypes"), web.source("embeddings"), rows, known, tmp_path / "scratch")
    assert rivals.owners.tolist() == [0, 2]
    assert rivals.prototypes.shape == (3, 8)
    assert rivals.prototypes.argmax(1).tolist() == [0, 1, 2]
    assert (rivals.texts[~rivals.has_text] == 0).all()
    written = {row["sample_id"]: row["alt_text"] for row in web.source("records").table().to_pylist()}
    assert rivals.has_text.tolist() == [bool(written[name]) for name in rows.samples.sample_ids.to_pylist()]
    write_prototypes(web, {"moss": ["Iron"]})
    assert read_rivals(web.source("prototypes"), web.source("embeddings"), rows, known, tmp_path / "scratch") is None


def test_what_people_say_of_a_copy_is_learnt_by_the_first_of_its_group():
    reviewed, groups = np.array([-1, 2, 1, -1, -1, 0, 1]), np.array([7, 7, 7, 8, 8, 9, 9])
    assert of_first(reviewed, groups).tolist() == [2, 2, 1, -1, -1, 0, 1]
    assert reviewed[0] == -1


def test_words_of_another_sense_are_its_own_where_it_is_a_state():
    known = [
        Concept(name="ray", definition="a flat fish", synonyms=("manta",), distractors=("ray of light",)),
        Concept(name="rose", definition="a flower", distractors=("watering rose",)),
    ]
    assert named_words(known, np.array([], int)) == [["ray", "manta"], ["rose"], ["of", "light", "watering"]]
    assert named_words(known, np.array([0])) == [["ray", "manta"], ["rose"], ["of", "light"], ["watering"]]
