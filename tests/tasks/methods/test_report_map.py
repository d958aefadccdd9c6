"""The map keeps what is near near, and is the same every time."""

import re

import numpy as np
import pytest

from tasks.methods.report_map import HEIGHT, WIDTH, chart, group_of, project


def test_the_two_widest_directions_are_found():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 6)) * [5, 3, 0.1, 0.1, 0.1, 0.1]
    placed, share = project(vectors.astype(np.float32))
    assert abs(np.corrcoef(placed[:, 0], vectors[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(placed[:, 1], vectors[:, 1])[0, 1]) > 0.95
    assert share == pytest.approx(1.0, abs=0.01)


def test_the_same_rows_in_another_order_lie_at_the_same_places():
    vectors = np.random.default_rng(1).normal(size=(50, 8))
    order = np.random.default_rng(2).permutation(50)
    assert project(vectors[order])[0] == pytest.approx(project(vectors)[0][order], abs=1e-9)


def test_few_rows_and_equal_rows_are_no_fault():
    assert project(np.zeros((0, 3)))[0].shape == (0, 2)
    assert project(np.ones((1, 3)))[0].tolist() == [[0.0, 0.0]]
    assert project(np.ones((4, 3)))[1] == 0.0
    assert project(np.array([[1.0], [2.0]]))[0].shape == (2, 2)


def test_dots_are_drawn_inside_the_frame_and_by_group():
    points = np.random.default_rng(3).normal(size=(30, 2))
    groups = ["kept", "duplicate", "other"] * 10
    found = chart(points, groups)
    assert list(found) == ["kept", "duplicate", "other"]
    numbers = [(float(x), float(y)) for drawn in found.values() for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", str(drawn))]
    assert len(numbers) == 30
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in numbers)


def test_groups():
    assert [group_of(reason) for reason in (None, "label_noise", "leak", "pruned")] == ["kept", "label_noise", "other", "other"]
