"""Score: what the stage says of a small web whose truth is known, by networks and by probes."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from tasks import score as stage
from tasks.core.concepts import load_concepts
from tasks.core.errors import MemoryCeilingError
from tasks.core.params import SharedParams
from tasks.core.settings import Settings
from tasks.core.tables import Shard
from tasks.methods.learned_calibration import log_loss
from tasks.score_params import CalibrationParams, FusionParams, LearnedParams, NetworkParams, ScoreParams, SenseParams
from tests.tasks.small_web import FakeEncoder, SmallWeb, append_copies, make_web
from tests.tasks.test_curate import run as decide

SHARED = SharedParams(seed=0)
TABLES = ("records", "embeddings", "neighbors", "prototypes", "matches", "duplicates", "reviews")
FUSION = FusionParams(
    rounds=1, steps=8, transition_strength=20.0, smoothing=2.0, first_empty_share=0.3, l2=1e-3, probe_steps=30, subfolds=3
)  # fmt: skip
NETWORK = NetworkParams(
    epochs=[3, 2], side=16, widths=[8, 8, 16, 16], batch_size=16, learning_rate=0.05, weight_decay=5e-4, word_weight=0.5, max_shift=1,
    precision="fp32", n_threads=2,
)  # fmt: skip
LEARNED = LearnedParams(min_verdicts=60, folds=3, bins=4, l2=0.01, steps=40)


PARAMS = ScoreParams(
    predictor="probe", n_neighbors=5, min_word_count=2.0, concept_word_count=3.0, network=NETWORK, fusion=FUSION,
    senses=SenseParams(min_agreement=0.3, confidence=0.9), learned=LEARNED, min_given_share=0.8,
    calibration=CalibrationParams(bins=10, least_rows=10, least_text_chance=0.6, draws=5),
    covariance_shrinkage=0.1,
)  # fmt: skip


def run(web: SmallWeb, predictor: str, workers: int = 1, learned: LearnedParams = LEARNED) -> list[dict[str, Any]]:
    params = PARAMS.model_copy(update={"predictor": predictor, "learned": learned})
    if not (web.root / "matches").exists():
        write_matches(web)
    if not (web.root / "prototypes").exists():
        write_prototypes(web, {})
    tables = {name: web.source(name) for name in TABLES}
    images, concepts, scores = web.artifact("images"), web.artifact("concepts"), web.sink("scores")
    settings = Settings(device="cpu", workers=workers)
    metrics = stage.score(images, **tables, concepts=concepts, scores=scores, params=params, shared=SHARED, settings=settings)
    assert metrics["rows"] == len(web.truth)
    return web.source("scores").table().to_pylist()


def write_prototypes(web: SmallWeb, distractors: dict[str, list[str]]) -> None:
    """What `match` would find for the definitions, and for these distractors of concepts."""
    names = sorted({truth for truth in web.truth.values() if truth})
    found = [(name, "text", name) for name in names]
    found += [(name, "distractor", words) for name, rivals in distractors.items() for words in rivals]
    vectors = FakeEncoder().encode_texts([words for _, _, words in found]).tolist()
    web.write(
        "prototypes",
        [
            {"concept": concept, "kind": kind, "name": words, "embedding": vector, "n_images": 0}
            for (concept, kind, words), vector in zip(found, vectors, strict=True)
        ],
    )


def write_matches(web: SmallWeb) -> None:
    names = sorted({truth for truth in web.truth.values() if truth})
    web.write(
        "matches",
        [
            {"sample_id": sample_id, "crawl": "alpha", "matched_concept": truth or names[0], "similarity": 0.5, "margin": 0.1,
             "text_similarity": None, "is_anchor": False, "concepts": names,
             "probabilities": [0.9 if name == truth else 0.05 for name in names]}
            for sample_id, truth in web.truth.items()
        ],
    )  # fmt: skip


def joined(web: SmallWeb, rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(given concept is right, image is of a concept, label scores, out-of-distribution scores)."""
    given = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    right = np.array([given[row["sample_id"]] == web.truth[row["sample_id"]] for row in rows])
    inside = np.array([web.truth[row["sample_id"]] is not None for row in rows])
    return right, inside, np.array([row["label_score"] for row in rows]), np.array([row["ood_score"] for row in rows])


@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_wrong_concepts_and_off_topic_images_score_low(tmp_path, predictor):
    web = make_web(tmp_path)
    rows = run(web, predictor)
    right, inside, label, ood = joined(web, rows)
    assert roc_auc_score(right, label) > 0.95
    assert roc_auc_score(inside, ood) > 0.9
    suggested = np.array([row["suggested_concept"] == web.truth[row["sample_id"]] for row in rows])
    assert suggested[inside & ~right].mean() > 0.8
    columns = [name for name, value in rows[0].items() if isinstance(value, float)]
    assert all(0 <= row[name] <= 1 for row in rows for name in columns)


@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_a_sense_that_fills_most_of_a_word_is_told_apart_by_the_definition(tmp_path, predictor):
    """Seven in ten images of moss are grey, as lemons are: the majority speaks for them until the distractor has a say."""
    web = make_web(tmp_path, off_topic=0.0, noise=0.1, other_sense=0.7)
    given = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    of_moss = [name for name, concept in given.items() if concept == "moss"]
    found = {}
    for name, distractors in (("misled", {}), ("told", {"moss": ["lemon"], "rust": ["tram lines"]})):
        write_prototypes(web, distractors)
        found[name] = {row["sample_id"]: row for row in run(web, predictor)}

    def purity(rows: dict[str, dict[str, Any]]) -> float:
        kept = [name for name in of_moss if rows[name]["suggested_concept"] == "moss" and rows[name]["confidence"] > 0.5]
        return float(np.mean([web.truth[name] == "moss" for name in kept]))

    assert purity(found["misled"]) < 0.6
    assert purity(found["told"]) > 0.9
    grey = [name for name in of_moss if web.truth[name] is None]
    assert np.mean([found["told"][name]["other_sense_probability"] > 0.5 for name in grey]) > 0.9
    assert {name for name, row in found["told"].items() if row["other_sense_probability"] is not None} == set(of_moss)
    assert {row["other_sense_probability"] for row in found["misled"].values()} == {None}
    assert np.mean([found["told"][name]["off_topic_probability"] > 0.5 for name in grey]) > 0.9
    assert np.mean([found["told"][name]["confidence"] > 0.5 for name in of_moss if web.truth[name] == "moss"]) > 0.7


def test_a_distractor_that_nothing_shows_or_that_is_a_concept_has_no_say(tmp_path):
    web = make_web(tmp_path, off_topic=0.0)
    before = run(web, "probe")
    concepts = tmp_path / "concepts" / "concepts.yaml"
    concepts.write_text(concepts.read_text().replace("lemon", "Iron"))  # a synonym of rust
    write_prototypes(web, {"moss": ["Iron"]})
    assert run(web, "probe") == before
    write_prototypes(web, {"slate": ["something else"]})
    assert run(web, "probe") == before


def test_the_same_input_gives_the_same_bytes_for_any_number_of_workers(tmp_path):
    web = make_web(tmp_path, n_rows=90)
    first = run(web, "network", workers=1)
    assert run(web, "network", workers=2) == first


def say(web: SmallWeb, samples: list[str], verdict: str, **changes: Any) -> None:
    """Let ann say what the pictures show, or that they are to go."""
    web.write("reviews", said(web, samples, verdict, **changes))


def said(web: SmallWeb, samples: list[str], verdict: str, **changes: Any) -> list[dict[str, Any]]:
    hashes = {row["sample_id"]: row["sha256"] for row in web.source("records").table().to_pylist()}
    return [
        {"sample_id": name, "sha256": hashes[name], "verdict": verdict, "reviewer": "ann", "reviewed_at": datetime(2026, 1, 2),
         "concept": web.truth[name] if verdict == "corrected" else None} | changes
        for name in samples
    ]  # fmt: skip


@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_what_people_corrected_teaches_about_other_samples(tmp_path, predictor):
    web = make_web(tmp_path, n_rows=120, noise=0.3)
    before = {row["sample_id"]: row for row in run(web, predictor)}
    given = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    wrong = [name for name, truth in web.truth.items() if truth and given[name] != truth]
    say(web, wrong[::2], "corrected")
    after = {row["sample_id"]: row for row in run(web, predictor)}
    unseen = [name for name in before if name not in wrong[::2]]
    assert any(after[name]["label_score"] != before[name]["label_score"] for name in unseen)
    still_wrong = wrong[1::2]
    means = [np.mean([found[name]["label_score"] for name in still_wrong]) for found in (before, after)]
    assert means[1] <= means[0] + 1e-4  # near 0 already where the networks see it all
    assert max(after[name]["label_score"] for name in wrong[::2]) > 0  # the machine's own word: no person's certainty in it
    assert min(after[name]["confidence"] for name in wrong[::2]) < 1


def test_many_verdicts_teach_the_confidence(tmp_path):
    """People who let no correction pass: the machine's suggestions stay, and it is less sure of them where they are corrections."""
    web = make_web(tmp_path, n_rows=240, noise=0.4)
    run(web, "probe")
    given = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    good, bad = ([name for name, truth in web.truth.items() if (truth == given[name]) == wanted] for wanted in (True, False))
    web.write("reviews", said(web, good[::2], "corrected") + said(web, bad[::2], "dropped"))
    few, many = (
        {row["sample_id"]: row for row in run(web, "probe", learned=LEARNED.model_copy(update={"min_verdicts": least}))}
        for least in (10_000, 60)
    )
    same = [column for column in few[good[0]] if column not in ("confidence", "confidence_error")]
    assert all(few[name][column] == many[name][column] for name in few for column in same)
    unseen = good[1::2] + bad[1::2]
    right = np.array([True] * len(good[1::2]) + [False] * len(bad[1::2]))
    losses = [log_loss(np.array([rows[name]["confidence"] for name in unseen]), right) for rows in (few, many)]
    assert losses[1] < 0.7 * losses[0]
    assert any(many[name]["confidence_error"] != few[name]["confidence_error"] for name in few)


def test_verdicts_that_name_no_concept_or_another_picture_change_nothing(tmp_path):
    web = make_web(tmp_path, n_rows=90)
    before = run(web, "probe")
    some = [name for name, truth in web.truth.items() if truth][:20]
    for verdict, changes in (("dropped", {}), ("corrected", {"sha256": "f" * 64}), ("corrected", {"concept": "a concept that is gone"})):
        say(web, some, verdict, **changes)
        assert run(web, "probe") == before


@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_a_copy_that_comes_later_changes_no_other_score(tmp_path, predictor):
    """The copies have other concepts and texts, and take places in the index' lists of neighbours, which are longer than what is used."""
    web, grown = make_web(tmp_path / "before", n_rows=90), make_web(tmp_path / "after", n_rows=90)
    append_copies(grown, of=(12, 40))
    before, after = run(web, predictor), run(grown, predictor)
    assert len(after) == len(before) + 2
    assert [row for row in after if row["sample_id"] in web.truth] == before


def people(web: SmallWeb, samples: list[str]) -> list[dict[str, Any]]:
    """What people say of these: dropped where the given concept is wrong."""
    given = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    wrong = [name for name in samples if web.truth[name] != given[name]]
    return said(web, [name for name in samples if name not in wrong], "corrected") + said(web, wrong, "dropped")


def test_a_copy_of_what_people_judged_teaches_nothing_more(tmp_path):
    """Copies under the very concept that was dropped: they are dropped with it, and count as no further verdict."""
    web, grown = (make_web(tmp_path / name, n_rows=240, noise=0.4) for name in ("before", "after"))
    judged = people(web, list(web.truth)[::2])
    web.write("reviews", judged)
    before = run(web, "probe")
    dropped = [row["sample_id"] for row in judged if row["verdict"] == "dropped"]
    ids = [row["sample_id"] for row in web.source("neighbors").table().to_pylist()]
    append_copies(grown, of=[ids.index(name) for name in dropped[:12]])
    concepts = {row["sample_id"]: row["concept"] for row in web.source("records").table().to_pylist()}
    records = grown.source("records").table().to_pylist()
    for row, name in zip(records[-12:], dropped, strict=False):
        row["concept"] = concepts[name]
    grown.write("records", records)
    grown.write("reviews", judged)
    after = run(grown, "probe")
    assert [row for row in after if row["sample_id"] in web.truth] == before
    assert before != run_without_reviews(web)


def run_without_reviews(web: SmallWeb) -> list[dict[str, Any]]:
    web.write("reviews", [])
    return run(web, "probe")


def test_what_people_say_of_the_test_split_moves_no_other_score(tmp_path):
    web = make_web(tmp_path, n_rows=240, noise=0.4)
    test = {row["sample_id"] for row in web.source("duplicates").table().to_pylist() if row["split"] == "test"}
    judged = people(web, [name for name in list(web.truth)[::2] if name not in test])
    web.write("reviews", judged)
    before = {row["sample_id"]: row for row in run(web, "probe")}
    web.write("reviews", judged + said(web, sorted(test), "dropped"))
    after = {row["sample_id"]: row for row in run(web, "probe")}
    assert test
    assert all(after[name] == before[name] for name in before if name not in test)


def test_the_order_of_rows_in_the_tables_changes_nothing(tmp_path):
    web, shuffled = make_web(tmp_path / "one", n_rows=90), make_web(tmp_path / "other", n_rows=90)
    write_matches(shuffled)
    rng = np.random.default_rng(0)
    for table in ("records", "embeddings", "duplicates", "matches"):
        rows = shuffled.source(table).table().to_pylist()
        shuffled.write(table, [rows[place] for place in rng.permutation(len(rows))])
    assert run(shuffled, "probe") == run(web, "probe")


def test_another_order_of_the_index_moves_no_score(tmp_path):
    """The samples at other positions, their neighbours' numbers with them, and the first of a group of copies first still: sums run in
    another order, and that is all."""
    web, shuffled = make_web(tmp_path / "one", n_rows=240), make_web(tmp_path / "other", n_rows=240)
    listed = shuffled.source("neighbors").table().to_pylist()
    groups = {row["sample_id"]: row["duplicate_group"] for row in web.source("duplicates").table().to_pylist()}
    old = np.random.default_rng(0).permutation(len(listed))  # the row that comes to each position
    of_row = np.array([groups[row["sample_id"]] for row in listed])
    for group in set(of_row):
        old[of_row[old] == group] = np.flatnonzero(of_row == group)
    new = np.argsort(old)
    moved = [listed[row] | {"position": place, "neighbors": new[listed[row]["neighbors"]].tolist()} for place, row in enumerate(old)]
    sink = shuffled.sink("neighbors")
    sink.write(Shard("alpha", "00000"), pa.Table.from_pylist(moved, sink.contract.schema))  # as they stand
    assert shuffled.source("neighbors").table()["sample_id"].to_pylist() == [row["sample_id"] for row in moved]
    before, after = ({row["sample_id"]: row for row in run(one, "probe")} for one in (web, shuffled))
    for name, row in before.items():
        others = [column for column, value in row.items() if not isinstance(value, float)]
        assert [after[name][column] for column in others] == [row[column] for column in others]
        numbers = {column: value for column, value in row.items() if isinstance(value, float)}
        assert {column: after[name][column] for column in numbers} == pytest.approx(numbers, abs=1e-6)


def test_rows_of_the_test_split_shape_nothing(tmp_path):
    """Other concepts on test rows: no score of any other row moves."""
    web = make_web(tmp_path, n_rows=120)
    test = {row["sample_id"] for row in web.source("duplicates").table().to_pylist() if row["split"] == "test"}
    before = {row["sample_id"]: row for row in run(web, "probe")}
    records = web.source("records").table().to_pylist()
    for row in records:
        row["concept"] = "moss" if row["sample_id"] in test else row["concept"]
    web.write("records", records)
    after = {row["sample_id"]: row for row in run(web, "probe")}
    assert len(test) == 6
    assert all(after[name] == before[name] for name in before if name not in test)


@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_pairs_without_concepts_have_no_label_to_be_wrong(tmp_path, predictor):
    web = make_web(tmp_path, n_rows=90, with_concept=False)
    rows = run(web, predictor)
    assert {row["given_probability"] for row in rows} == {None}
    assert {row["label_score"] for row in rows} == {1.0}
    inside = [row for row in rows if web.truth[row["sample_id"]]]
    assert np.mean([row["suggested_concept"] == web.truth[row["sample_id"]] for row in inside]) > 0.9


@pytest.mark.parametrize(
    "case", [{"names": ("moss", "rust")}, {"equal_embeddings": True}, {"with_text": False}, {"off_topic": 0.0, "noise": 0.0}]
)
@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_poor_webs_give_answers(tmp_path, predictor, case):
    web = make_web(tmp_path, n_rows=60, **case)
    rows = run(web, predictor)
    assert all(np.isfinite(row["confidence"]) for row in rows)
    metrics, decided = decide(web)
    assert metrics["rows"] == len(decided) == 60
    assert all(row["keep"] or row["reasons"] for row in decided)
    if not case.get("with_text", True):
        assert {row["text_score"] for row in rows} == {0.5}


@pytest.mark.parametrize("predictor", ["probe", "network"])
def test_a_concept_of_one_image_and_one_of_none_give_answers(tmp_path, predictor):
    web = make_web(tmp_path, n_rows=60)
    records = web.source("records").table().to_pylist()
    lonely = next(row["sample_id"] for row in records if row["concept"] == "slate")
    for row in records:
        row["concept"] = row["concept"] if row["concept"] != "slate" or row["sample_id"] == lonely else "moss"
    web.write("records", records)
    (web.root / "concepts" / "more.yaml").write_text("concepts: [{name: quartz, definition: a stone that nobody searched for}]")
    assert len(run(web, predictor)) == 60


def test_more_than_the_ceiling_is_refused(tmp_path):
    assert stage.held_bytes(1000, 12, 50, PARAMS) - stage.held_bytes(1000, 11, 50, PARAMS) == 160_000
    by_network = PARAMS.model_copy(update={"predictor": "network"})
    assert stage.held_bytes(1000, 11, 50, by_network) - stage.held_bytes(1000, 11, 50, PARAMS) == 1000 * (4 * 16 * 2 + 20 * 50)
    web = make_web(tmp_path, n_rows=60)
    known = load_concepts(web.root / "concepts")
    message = r"scoring 60 samples against 5 states by network needs .* GB, .* allows 1e-05: score fewer crawls, or use score\.predictor"
    with pytest.raises(MemoryCeilingError, match=message):
        stage.check_memory(web.source("neighbors"), known, by_network, Settings(memory_gb=1e-5))


def test_nothing_is_left_of_the_scratch_files(tmp_path):
    web = make_web(tmp_path, n_rows=90)
    run(web, "network")
    assert [path.name for path in (web.root / "scores").iterdir()] == ["crawl=alpha"]
