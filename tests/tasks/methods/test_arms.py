"""Arms: who is in, under which concept."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.methods.arms import COLUMNS, all_concepts, choose_rows, validation_rows

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
    with pytest.raises(ValueError, match="rows='best' is unknown: use raw, random or curated"):
        choose_rows(samples, rows="best", weighted=True, seed=0)
