"""The pen, measured: every mark covers the area that geometry gives it."""

import math

import numpy as np
import pytest

from tasks.methods.demo_pen import SIDE, Pen, shade

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def pen() -> Pen:
    return Pen(np.random.default_rng(0))


def area(pen: Pen) -> float:
    """Marked share of the sheet in square units, of 10,000."""
    return float((np.asarray(pen.image)[..., 3] > 0).mean() * 1e4)


def box_of(pen: Pen) -> list[float]:
    """Left, top, right and bottom of what is marked, in units."""
    left, top, right, bottom = pen.image.getbbox() or (0, 0, 0, 0)
    return [edge * 100 / SIDE for edge in (left, top, right, bottom)]


def at(pen: Pen, x: float, y: float) -> tuple[int, ...]:
    pixel = pen.image.getpixel((round(x * SIDE / 100), round(y * SIDE / 100)))
    assert isinstance(pixel, tuple)
    return pixel


def test_a_new_sheet_is_transparent(pen: Pen) -> None:
    assert pen.image.size == (SIDE, SIDE)
    assert area(pen) == 0


def test_boxes_and_shapes_lie_where_they_are_put(pen: Pen) -> None:
    pen.box(10, 20, 30, 40, RED)
    assert box_of(pen) == pytest.approx([10, 20, 40, 60], abs=1)
    assert area(pen) == pytest.approx(30 * 40, rel=0.05)
    pen.shape([(60, 10), (90, 10), (90, 70)], BLUE)
    assert area(pen) == pytest.approx(30 * 40 + 30 * 60 / 2, rel=0.05)
    assert (at(pen, 20, 30), at(pen, 85, 20), at(pen, 65, 60)) == ((*RED, 255), (*BLUE, 255), (0, 0, 0, 0))


def test_a_disc_is_an_ellipse_and_a_cut_takes_its_middle_away(pen: Pen) -> None:
    pen.disc(50, 40, 30, 20, RED)
    assert box_of(pen) == pytest.approx([20, 20, 80, 60], abs=1)
    assert area(pen) == pytest.approx(math.pi * 30 * 20, rel=0.03)
    pen.cut(50, 40, 10)
    assert area(pen) == pytest.approx(math.pi * (30 * 20 - 10 * 10), rel=0.03)
    assert (at(pen, 50, 40), at(pen, 30, 40)) == ((0, 0, 0, 0), (*RED, 255))


def test_a_ring_is_hollow(pen: Pen) -> None:
    pen.ring(50, 50, 30, 6, RED)
    assert area(pen) == pytest.approx(math.pi * (30**2 - 24**2), rel=0.05)
    assert at(pen, 50, 50)[3] == 0


def test_a_line_is_as_wide_as_asked_and_never_nothing(pen: Pen) -> None:
    pen.line([(10, 50), (90, 50)], 5, RED)
    assert area(pen) == pytest.approx(80 * 5, rel=0.05)
    thin = Pen(np.random.default_rng(0))
    thin.line([(10, 50), (90, 50)], 0.01, RED)
    assert area(thin) == pytest.approx(80 * 100 / SIDE, rel=0.05)


@pytest.mark.parametrize(("angle", "box"), [(0.0, [20, 40, 80, 60]), (math.pi / 2, [10, 50, 30, 110]), (math.pi, [-40, 40, 20, 60])])
def test_a_petal_starts_at_its_point_and_runs_towards_its_angle(pen: Pen, angle: float, box: list[float]) -> None:
    pen.petal(20, 50, angle, 60, 20, RED)
    assert box_of(pen) == pytest.approx(np.clip(box, 0, 100).tolist(), abs=1)


def test_a_petal_has_the_area_of_twelve_points_on_an_ellipse(pen: Pen) -> None:
    pen.petal(25, 30, 0.7, 60, 20, RED)
    assert area(pen) == pytest.approx(3 * 30 * 10, rel=0.04)


def test_shades() -> None:
    assert shade((100, 50, 11), 0.5) == (50, 25, 6)
    assert shade((100, 200, 0), 1.5) == (150, 255, 0)
    assert shade((12, 34, 56), 1) == (12, 34, 56)


def test_choices_keep_their_bounds(pen: Pen) -> None:
    numbers = [pen.any(3, 5) for _ in range(500)]
    assert min(numbers) >= 3
    assert max(numbers) < 5
    assert np.mean(numbers) == pytest.approx(4, abs=0.1)
    colours = [pen.one_of((100, 0, 0), (0, 200, 0)) for _ in range(500)]
    reds, greens = [red for red, _, _ in colours if red], [green for _, green, _ in colours if green]
    assert len(reds) + len(greens) == 500
    assert 200 < len(reds) < 300
    assert 75 <= min(reds) < max(reds) <= 120
    assert 150 <= min(greens) < max(greens) <= 240
    assert not any(pen.chance(0) for _ in range(100))
    assert all(pen.chance(1) for _ in range(100))
    assert 0.23 < np.mean([pen.chance(0.3) for _ in range(1000)]) < 0.37


def test_the_generator_decides_everything() -> None:
    first, again, other = (Pen(np.random.default_rng(seed)) for seed in (1, 1, 2))
    seen = [[pen.any(0, 1), pen.chance(0.5), pen.one_of(RED, BLUE)] for pen in (first, again, other)]
    assert seen[0] == seen[1] != seen[2]
