"""Alt texts: shares, kinds, and the words that tell senses apart."""

from collections import Counter

import numpy as np
import pytest

from tasks.methods.demo_texts import CONTEXTS, FOREIGN, SHARES, WORDS, draw_kind, make_text


def texts(kind, subject, n=60):
    rng = np.random.default_rng(0)
    return [make_text(kind=kind, subject=subject, rng=rng) for _ in range(n)]


def test_shares_are_whole_and_met():
    assert sum(SHARES.values()) == pytest.approx(1)
    rng = np.random.default_rng(0)
    drawn = Counter(draw_kind(rng) for _ in range(4000))
    assert all(abs(drawn[kind] / 4000 - share) < 0.03 for kind, share in SHARES.items())


def test_specific_texts_use_the_subject_s_words():
    assert all(any(word in text for word in WORDS["pagoda"]) for text in texts("specific", "pagoda"))


def test_random_texts_are_about_something_else():
    assert not any("pagoda" in text or "temple" in text for text in texts("random", "pagoda"))


def test_missing_generic_foreign_and_spam():
    assert set(texts("missing", "cat", 3)) == {""}
    assert not any(word in text for text in texts("generic", "cat") for word in WORDS["cat"])
    assert set(texts("foreign", "cat")) == set(FOREIGN["cat"])
    assert len(set(texts("spam", "cat"))) > 40


def test_salad_is_called_rocket_and_has_contexts_of_its_own():
    found = texts("specific", "salad", 200)
    assert 0.3 < np.mean(["rocket" in text for text in found]) < 1
    assert not set(CONTEXTS["salad"]) & set(CONTEXTS["rocket"])


def test_an_unknown_subject_is_named():
    with pytest.raises(ValueError, match="no words for 'unicorn': write about one of astronaut, badge"):
        make_text(kind="specific", subject="unicorn", rng=np.random.default_rng(0))
