"""Crawls against those before them: distances by hand, and what chance alone gives."""

from collections import Counter

import numpy as np
import pytest

from tasks.methods.report_drift import drift, mix_per_crawl, moved
from tests.tasks.methods.report_tables import tables


def test_a_distance_by_hand() -> None:
    found = moved({"cat": 6, "dog": 4}, {"cat": 2, "dog": 2, "moon": 4})
    assert found is not None
    assert found["distance"] == pytest.approx(0.5 * (0.35 + 0.15 + 0.5))
    assert [(one["name"], one["before"], one["now"]) for one in found["movers"]] == [
        ("moon", 0, 0.5),
        ("cat", 0.6, 0.25),
        ("dog", 0.4, 0.25),
    ]
    assert moved({"cat": 5}, {"cat": 50}) == {"distance": 0, "chance": 0, "movers": []}
    assert moved({}, {"cat": 1}) is moved({"cat": 1}, {}) is None


def test_equal_mixes_lie_as_far_apart_as_chance_says() -> None:
    random, shares = np.random.default_rng(0), [0.5, 0.3, 0.2]

    def draw(n: int) -> dict[str, int]:
        return dict(Counter(random.choice(list("abc"), n, p=shares).tolist()))

    found = [one for _ in range(200) if (one := moved(draw(400), draw(100)))]
    assert np.mean([one["distance"] for one in found]) == pytest.approx(np.mean([one["chance"] for one in found]), rel=0.1)
    far = moved({"a": 400}, {"a": 60, "b": 40})
    assert far is not None
    assert far["distance"] > 5 * far["chance"]


def test_rates_and_mixes_of_crawls_in_order_of_arrival(tmp_path) -> None:
    with tables(tmp_path) as connection:
        late, early = drift(connection, ["two", "one", "not there"])
        assert (late["crawl"], late["n_rows"], late["kept"], late["mixes"]) == ("two", 1, 1.0, {})
        assert (early["decoded"], early["kept"], early["copies"]) == (6 / 7, 2 / 7, 1 / 6)
        assert (early["wrong"], early["off_topic"]) == (2 / 5, 1 / 5)
        assert early["mixes"]["reasons"]["distance"] == pytest.approx(5 / 7)
        assert early["mixes"]["reasons"]["movers"][0] == {"name": "kept", "before": 1.0, "now": 2 / 7}
        assert mix_per_crawl(connection, "concept") == {"one": {"cat": 5, "dog": 2}, "two": {"dog": 1}}
