"""Match: prototypes and matches of a small web whose truth is known."""

import numpy as np
import pytest

from tasks import match as stage
from tests.tasks.small_web import FakeEncoder, SmallWeb, make_web

CLEANING = stage.CleaningParams(
    rounds=0, k_near=20, k_mean=6, distance_share=0.3, max_gallery=500, classifier_share=0.5, min_probability=0.6, min_keep_share=0.2,
    bootstrap_share=0.1, momentum=0.9, min_change=0.005, l2=0.001, probe_steps=30,
)  # fmt: skip
PARAMS = stage.MatchParams(n_neighbors=5, n_anchors=10, max_anchor_share=0.2, anchor_confidence=0.9, n_matches=5, cleaning=CLEANING)


def run(web: SmallWeb, monkeypatch: pytest.MonkeyPatch, params: stage.MatchParams = PARAMS) -> dict:
    monkeypatch.setattr(stage, "load_encoder", lambda path, threads: FakeEncoder())
    tables = {name: web.source(name) for name in ("records", "embeddings", "neighbors", "duplicates")}
    return stage.match(
        **tables,
        encoder=web.artifact("encoder"),
        concepts=web.artifact("concepts"),
        prototypes=web.sink("prototypes"),
        matches=web.sink("matches"),
        params=params,
    )


def test_images_match_what_they_show(tmp_path, monkeypatch):
    web = make_web(tmp_path)
    metrics = run(web, monkeypatch)
    found = web.source("matches").table().to_pylist()
    inside = [row for row in found if web.truth[row["sample_id"]] is not None]
    assert np.mean([row["matched_concept"] == web.truth[row["sample_id"]] for row in inside]) > 0.98
    assert all(len(row["concepts"]) == 3 and abs(sum(row["probabilities"]) - 1) < 1e-5 for row in found)
    assert sum(metrics["anchors"].values()) == sum(row["is_anchor"] for row in found) > 10


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
