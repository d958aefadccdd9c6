"""Arms: who is in, under which concept."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.methods.arms import CAPTIONED, COLUMNS, SEEING, all_concepts, banned_rows, choose_rows, passing, validation_rows

# sample, status, split, keep, reasons, concept, curated, suggested, weight
ROWS = [
    ("kept", "ok", "train", True, [], "cat", "cat", "cat", 1.0),
    ("corrected", "ok", "train", True, [], "cat", "dog", "dog", 3.0),
    ("noisy", "ok", "train", False, ["label_noise"], "dog", None, "cat", 0.0),
    ("copy", "ok", "train", False, ["duplicate"], "dog", None, "dog", 0.0),
    ("pair", "ok", "train", False, ["mismatched_text"], None, None, "emu", 0.0),
    ("leak", "ok", "train", False, ["leak", "duplicate"], "cat", None, "cat", 0.0),
    ("forgotten", "ok", "train", False, ["forgotten"], "cat", None, "cat", 0.0),
    ("gone", "failed", None, False, ["unreachable"], "cat", None, None, 0.0),
    ("val", "ok", "val", True, [], "cat", "dog", "dog", 1.0),
    ("val-dropped", "ok", "val", False, ["label_noise"], "cat", None, "dog", 0.0),
    ("test", "ok", "test", True, [], "gnu", "gnu", "gnu", 1.0),
]


@pytest.fixture
def samples() -> pa.Table:
    names = ("sample_id", "status", "split", "keep", "reasons", "concept", "curated_concept", "suggested_concept", "weight")
    columns = {name: [row[place] for row in ROWS] for place, name in enumerate(names)}
    columns |= {"crawl": ["c"] * len(ROWS), "shard": ["0"] * len(ROWS), "key": [row[0] for row in ROWS], "sha256": ["x"] * len(ROWS)}
    return pa.table(columns).select(COLUMNS)


def test_raw_is_every_decodable_training_row_under_its_given_or_matched_concept(samples: pa.Table) -> None:
    raw = choose_rows(samples, rows="raw", weighted=True, seed=0)
    found = dict(zip(raw["sample_id"].to_pylist(), raw["concept"].to_pylist(), strict=True))
    assert found == {"kept": "cat", "corrected": "cat", "noisy": "dog", "copy": "dog", "pair": "emu"}
    assert raw["weight"].to_pylist() == [1.0] * 5


def test_curated_is_the_kept_rows_under_their_curated_concept(samples: pa.Table) -> None:
    curated = choose_rows(samples, rows="curated", weighted=True, seed=0)
    assert curated["sample_id"].to_pylist() == ["kept", "corrected"]
    assert curated["concept"].to_pylist() == ["cat", "dog"]
    assert curated["weight"].to_pylist() == [0.5, 1.5]
    assert choose_rows(samples, rows="curated", weighted=False, seed=0)["weight"].to_pylist() == [1.0, 1.0]


def test_not_relabelled_is_what_curation_kept_and_left_as_it_was(samples: pa.Table) -> None:
    kept = choose_rows(samples, rows="not_relabelled", weighted=True, seed=0)
    assert kept["sample_id"].to_pylist() == ["kept"]
    assert kept["weight"].to_pylist() == [1.0]
    pairs = samples.set_column(samples.schema.get_field_index("concept"), "concept", pa.nulls(samples.num_rows, pa.string()))
    assert choose_rows(pairs, rows="not_relabelled", weighted=True, seed=0)["sample_id"].to_pylist() == ["kept", "corrected"]


def test_filtered_arms_are_the_raw_rows_that_passed(samples: pa.Table) -> None:
    passed = np.array([row[0] in ("noisy", "pair", "leak", "gone", "val") for row in ROWS])
    chosen = choose_rows(samples, rows="clip_score", weighted=True, seed=0, passed=passed)
    assert chosen["sample_id"].to_pylist() == ["noisy", "pair"]
    assert chosen["concept"].to_pylist() == ["dog", "emu"]
    assert chosen["weight"].to_pylist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"no row of split train to train on \(rows: basic\)"):
        choose_rows(samples, rows="basic", weighted=True, seed=0, passed=np.zeros(len(ROWS), bool))


def test_random_is_as_large_as_curated_and_drawn_by_id_and_seed(samples: pa.Table) -> None:
    drawn = [tuple(choose_rows(samples, rows="random", weighted=True, seed=seed)["sample_id"].to_pylist()) for seed in range(20)]
    assert all(len(ids) == 2 for ids in drawn)
    assert len(set(drawn)) > 3
    shuffled = samples.take(np.random.default_rng(0).permutation(samples.num_rows))
    again = choose_rows(shuffled, rows="random", weighted=True, seed=7)["sample_id"].to_pylist()
    assert sorted(again) == sorted(drawn[7])


def test_validation_rows_and_concepts_are_the_same_for_all_arms(samples: pa.Table) -> None:
    checked = validation_rows(samples)
    assert checked["sample_id"].to_pylist() == ["val"]
    assert checked["concept"].to_pylist() == ["dog"]
    assert all_concepts(samples) == ["cat", "dog", "emu"]


def test_an_arm_without_rows_is_refused(samples: pa.Table) -> None:
    none = samples.slice(2)
    with pytest.raises(ValueError, match=r"no row of split train to train on \(rows: curated\)"):
        choose_rows(none, rows="curated", weighted=True, seed=0)
    with pytest.raises(ValueError, match="rows='best' is unknown: use raw, random, curated, not_relabelled or one of basic, "):
        choose_rows(samples, rows="best", weighted=True, seed=0)


LIMITS = {
    "min_words": 3, "image_min_words": 2, "min_characters": 6, "min_side": 50, "max_aspect_ratio": 3.0, "clip_share": 0.5,
    "rows_per_cluster": 1,
}  # fmt: skip


PROTOTYPES = pa.table(
    {
        "concept": ["cat", "cat", "dog", "dog"],
        "kind": ["text", "visual", "distractor", "text"],
        "embedding": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
    }
)


def captions() -> tuple[pa.Table, pa.Table, tuple[pa.ChunkedArray, np.ndarray], pa.Table]:
    """Five samples; b was never indexed, e has no image. Their matches and image embeddings come in another order."""
    texts = ["the big cat here", "a cat", "one cat looks at you", "IMG 2034", "a cat without a picture"]
    sizes = [(100, 100), (100, 100), (400, 100), (60, 60), (None, None)]
    named: dict[str, list[str | None]] = {
        "concept": ["cat", "cat", "cat", None, "cat"],
        "suggested_concept": ["dog", None, "cat", "dog", None],
    }
    samples = pa.table(
        {"sample_id": list("abcde"), "alt_text": texts, "original_width": [w for w, _ in sizes], "original_height": [h for _, h in sizes]}
        | named
    )
    matches = pa.table({"sample_id": list("dca"), "text_similarity": [None, 0.1, 0.3], "is_anchor": [False, False, True]})
    return samples.select(CAPTIONED), matches, (pa.chunked_array([list("cda")]), np.eye(3, dtype=np.float32)[[0, 0, 1]]), PROTOTYPES


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("basic", "a"),
        ("text_based", "abce"),
        ("clip_score", "ac"),
        ("image_based", "a"),
        ("image_and_clip_score", "a"),
        ("clip_margin", "ad"),
    ],
)
def test_filters_line_up_with_the_samples(rows: str, expected: str) -> None:
    passed = passing(*captions(), rows=rows, words=["cat"], **LIMITS | {"clip_share": 0.4})  # type: ignore[arg-type]
    assert "".join(np.array(list("abcde"))[passed]) == expected


def test_filters_of_nothing_indexed_let_nobody_pass() -> None:
    samples, matches, (ids, vectors), prototypes = captions()
    for rows in ("clip_score", *SEEING):
        passed = passing(samples, matches[:0], (ids[:0], vectors[:0]), prototypes, rows=rows, words=[], **LIMITS)  # type: ignore[arg-type]
        assert not passed.any(), rows


def test_filters_by_image_ask_for_embeddings() -> None:
    samples, matches, _, prototypes = captions()
    for rows in SEEING:
        with pytest.raises(ValueError, match=f"rows='{rows}' needs the image embeddings: pass `vectors`"):
            passing(samples, matches, None, prototypes, rows=rows, words=[], **LIMITS)  # type: ignore[arg-type]


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(ValueError, match="rows='clip' is no filter: use one of basic, text_based, .*, clip_margin"):
        passing(*captions(), rows="clip", words=[], **LIMITS)  # type: ignore[arg-type]


def test_rows_that_no_arm_may_learn_from(samples: pa.Table) -> None:
    assert samples["sample_id"].filter(pa.array(banned_rows(samples))).to_pylist() == ["leak", "forgotten"]
    assert banned_rows(samples.slice(2, 4)).tolist() == [False, False, False, True]
