"""MetaCLIP's balancing: matches by hand, the published chances, and draws that no other pair changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.balancing import Matches, least_limits, match_entries

ENTRIES = ["cat", "house cat", "dog", "T-shirt"]
TEXTS = ["A house-cat, a CAT", "catalogue of dogs", "dog in a t-shirt", "", "house  cat!"]


def keep_probabilities(counts: np.ndarray, limit: float) -> np.ndarray:
    """The paper's chance that an entry keeps a pair."""
    return np.minimum(1, limit / np.maximum(counts, 1))


def balanced(found: Matches, limit: float) -> np.ndarray:
    """The paper's algorithm 1, entry by entry."""
    kept = np.zeros(found.n_texts, bool)
    for row, entry, draw in zip(found.texts, found.entries, found.draws, strict=True):
        kept[row] |= draw < keep_probabilities(found.counts[entry], limit)
    return kept


def matched(texts, entries=ENTRIES, seed=0):
    return match_entries(texts, entries, [f"id {text}" for text in texts], seed=seed)


def test_texts_name_whole_words_and_phrases():
    found = matched(TEXTS)
    assert list(zip(found.texts.tolist(), found.entries.tolist(), strict=True)) == [(0, 0), (0, 1), (2, 2), (2, 3), (4, 0), (4, 1)]
    assert found.counts.tolist() == [2, 2, 1, 1]


def test_one_entry_is_enough_and_none_is_not():
    found = Matches(3, np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 10]), np.array([0.9, 0.95, 0.3]))
    assert balanced(found, limit=2).tolist() == [True, False, False]
    assert balanced(found, limit=4).tolist() == [True, True, False]
    assert least_limits(found).tolist() == [0.9, 3.0, np.inf]


def test_frequent_entries_come_down_to_the_limit_and_rare_ones_stay():
    texts = [f"cat {number}" for number in range(5000)] + [f"dog {number}" for number in range(40)]
    kept = balanced(matched(texts), limit=200)
    assert 150 < kept[:5000].sum() < 250
    assert kept[5000:].all()


@given(st.lists(st.text("catdog -", max_size=12), max_size=12, unique=True), st.randoms(), st.floats(0.1, 20))
def test_order_changes_nothing_and_no_other_pair_changes_a_draw(texts, random, limit):
    found = matched(texts)
    kept = dict(zip(texts, balanced(found, limit=limit), strict=True))
    assert balanced(found, limit=limit).tolist() == (least_limits(found) < limit).tolist()
    drawn = {(texts[row], entry): draw for row, entry, draw in zip(found.texts, found.entries, found.draws, strict=True)}
    shuffled = list(texts)
    random.shuffle(shuffled)
    assert dict(zip(shuffled, balanced(matched(shuffled), limit=limit), strict=True)) == kept
    longer = [*shuffled, "cat and another cat"]
    more = matched(longer)
    assert (
        drawn.items() <= {(longer[row], entry): draw for row, entry, draw in zip(more.texts, more.entries, more.draws, strict=True)}.items()
    )


def test_a_seed_changes_the_draws():
    assert (matched(TEXTS).draws != matched(TEXTS, seed=1).draws).all()


def test_nothing_to_match():
    assert balanced(matched([]), limit=1).shape == (0,)
    assert least_limits(matched(["a cat"], [])).tolist() == [np.inf]
    assert matched([], ["cat"]).counts.tolist() == [0]


@pytest.mark.parametrize(
    ("entries", "message"),
    [(["cat", "--"], "entry '--' has no word: leave it out"), (["T-shirt", "t shirt"], "entry 't shirt' is the same as 'T-shirt'")],
)
def test_entries_that_say_nothing_are_named(entries, message):
    with pytest.raises(ValueError, match=message):
        matched(TEXTS, entries)


def test_ids_and_texts_go_together():
    with pytest.raises(ValueError, match="1 ids can't name 2 texts"):
        match_entries(["a", "b"], ["a"], ["x"], seed=0)
