"""Crawls: shares of every kind of noise, true copies, two senses of rocket, the same bytes every time."""

import pyarrow as pa
import pytest

from tasks.core.concepts import load_concepts
from tasks.methods.demo_clean import CONCEPTS, make_clean_sets
from tasks.methods.demo_web import TAIL, make_crawl

SEED = 7
ROWS = 500
KEY = ["url", "alt_text", "concept"]


@pytest.fixture(scope="module")
def crawl():
    return make_crawl(name="one", seed=SEED, n_rows=ROWS, n_leaks=6, clean_seed=3)


@pytest.fixture(scope="module")
def later():
    return make_crawl(name="two", seed=SEED + 1, n_rows=ROWS)


@pytest.fixture(scope="module")
def rows(crawl):
    frame = crawl.truth.to_pandas()
    manifest = crawl.manifest.to_pandas()
    assert (frame.url == manifest.url).all()
    web = dict(zip(crawl.web["path"].to_pylist(), crawl.web["bytes"].to_pylist(), strict=True))
    frame["body"] = [web.get(url.removeprefix("http://demo.test/")) for url in frame.url]
    return frame.assign(concept=manifest.concept, alt_text=manifest.alt_text)


def test_tables_have_their_columns(crawl):
    assert crawl.manifest.schema.names == [*KEY, "page_url"]
    assert crawl.web.schema == pa.schema([("path", pa.string()), ("bytes", pa.binary())])
    assert crawl.truth.schema.names == ["url", "kind", "text_kind", "true_concept", "origin", "other_sense"]
    assert crawl.manifest.num_rows == crawl.truth.num_rows == ROWS


def test_no_row_stands_twice(rows):
    assert not rows.duplicated(KEY).any()
    assert 2 <= rows.duplicated("url").sum() <= 10  # addresses with two texts


def test_shares_of_kinds(rows):
    shares = rows.kind.value_counts(normalize=True)
    wanted = {"clean": 0.61, "label_noise": 0.13, "ood": 0.13, "near_dup": 0.05, "exact_dup": 0.03, "broken": 0.05}
    assert shares.to_dict() == pytest.approx(wanted, abs=0.02)


def test_kinds_say_what_is_wrong(rows):
    assert (rows.concept == rows.true_concept)[rows.kind == "clean"].all()
    assert (rows.concept != rows.true_concept)[rows.kind == "label_noise"].all()
    assert rows.true_concept[rows.kind == "label_noise"].isin(CONCEPTS).all()
    assert not rows.true_concept[rows.kind == "ood"].isin(CONCEPTS).any()
    assert rows.concept.isin(CONCEPTS).all()


def test_rocket_shows_the_salad_more_often_than_not(rows):
    filed = rows[(rows.concept == "rocket") & rows.kind.isin(["clean", "label_noise", "ood"])]
    assert 0.48 < filed.other_sense.mean() < 0.62
    assert (rows.true_concept == "salad").equals(rows.other_sense)
    assert (rows.concept[rows.other_sense] == "rocket").all()


def test_the_tail_is_long(rows):
    counts = rows.concept.value_counts()
    assert set(counts.index) == set(CONCEPTS)
    assert 5 < counts.max() / counts.min() < 11
    assert counts.index[0] == TAIL[0]


def test_copies_are_copies(rows):
    originals = rows[rows.kind.isin(["clean", "label_noise", "ood"])].drop_duplicates("origin").set_index("origin")
    exact, near = rows[rows.kind == "exact_dup"], rows[rows.kind == "near_dup"]
    assert (exact.body == originals.body.reindex(exact.origin).to_numpy()).all()
    assert (near.body != originals.body.reindex(near.origin).to_numpy()).all()
    assert rows.body.notna()[near.index].all()


def test_broken_rows_are_gone_private_or_damaged(rows):
    broken = rows[rows.kind == "broken"]
    assert broken.body.isna().any()
    assert rows.body.notna()[rows.kind != "broken"].all()
    assert broken.url.str.startswith("http://demo.test/private/").any()
    assert not rows.url.str.startswith("http://demo.test/private/")[rows.kind != "broken"].any()


def test_leaks_are_copies_of_the_clean_test_set(rows):
    leaks = rows[rows.origin.str.contains("in_domain_test/")]
    clean = set(make_clean_sets(seed=3, rows={"in_domain_test": 10})["in_domain_test"]["image"].to_pylist())
    assert len(leaks) == 6
    assert (leaks.kind == "clean").all()
    assert sum(body in clean for body in leaks.body) == 3


def test_crawls_share_some_pictures_and_few_rows(crawl, later):
    # At the demo's own sizes 8 rows are the same; here the pictures do.
    shared = set(crawl.truth["origin"].to_pylist()) & set(later.truth["origin"].to_pylist())
    assert shared
    assert all("/popular/" in origin for origin in shared)
    bodies = dict(zip(crawl.web["path"].to_pylist(), crawl.web["bytes"].to_pylist(), strict=True))
    for path, body in zip(later.web["path"].to_pylist(), later.web["bytes"].to_pylist(), strict=True):
        assert bodies.get(path, body) == body


def test_again_gives_the_same_and_another_seed_another(crawl):
    again = make_crawl(name="one", seed=SEED, n_rows=ROWS, n_leaks=6, clean_seed=3)
    assert again == crawl
    small, other = (make_crawl(name="one", seed=seed, n_rows=100) for seed in (1, 2))
    assert small.web["bytes"] != other.web["bytes"]


def test_concepts_are_those_of_the_concept_file(repo):
    concepts = {concept.name: concept for concept in load_concepts(repo / "data" / "concepts")}
    assert set(concepts) == set(CONCEPTS) == set(TAIL)
    assert concepts["rocket"].distractors == ("rocket, a salad plant with green leaves",)


@pytest.mark.parametrize(("n_rows", "n_leaks"), [(99, 0), (200, 21)])
def test_a_crawl_that_can_t_be_is_refused(n_rows, n_leaks):
    with pytest.raises(ValueError, match=f"crawl 'one' of {n_rows} rows with {n_leaks} leaks: make 100 rows or more"):
        make_crawl(name="one", seed=1, n_rows=n_rows, n_leaks=n_leaks)
