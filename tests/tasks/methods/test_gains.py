"""What is said of a gain, word for word."""

import pytest

from tasks.methods.gains import compare_arms, gain_sentence
from tasks.methods.metrics import Interval


def say(gain: Interval | None) -> str:
    return gain_sentence(gain, arm="curated", baseline="raw", samples_seen=12000, confidence=0.95)


def test_arms_are_compared_over_the_seeds_they_share() -> None:
    figures = {"raw": {0: 0.80, 1: 0.82}, "curated": {0: 0.83, 1: 0.84, 2: 0.99}, "other": {5: 0.5}}
    gains = compare_arms(figures, baseline="raw", confidence=0.95)
    assert set(gains) == {"curated"}
    assert gains["curated"].mean == pytest.approx(0.025)
    assert gains["curated"].n == 2
    assert compare_arms({"curated": {0: 0.9}}, baseline="raw", confidence=0.95) == {}


def test_sentences() -> None:
    assert say(Interval(0.021, 0.012, 0.030, 3)) == (
        "Curation bought 2.1 points of accuracy at 12,000 samples seen each over 'raw' (95% interval +1.2 to +3.0, 3 seeds)."
    )
    assert say(Interval(0.010, -0.012, 0.032, 3)) == (
        "Curation bought nothing that these seeds can tell from chance: +1.0 points of accuracy (95% interval -1.2 to +3.2, 3 seeds)."
    )
    assert say(Interval(-0.05, -0.06, -0.04, 3)).startswith(
        "Curation cost 5.0 points of accuracy at 12,000 samples seen each against 'raw'"
    )
    assert say(Interval(0.02, None, None, 1)) == (
        "With one seed 'curated' has 2.0 points of accuracy at 12,000 samples seen each more than 'raw'; "
        "one seed gives no interval, so this may be chance."
    )
    assert say(None).startswith("What curation bought is not known")
