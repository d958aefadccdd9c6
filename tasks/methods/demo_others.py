"""Draw what is none of the demo's concepts: the salad called rocket, the near-domain subjects, the charts and patterns of the web."""

import itertools
import math
from collections.abc import Callable

from tasks.methods.demo_pen import Pen, shade


def _fish(pen: Pen) -> None:
    scale, tall = pen.one_of((225, 130, 50), (80, 120, 180), (150, 160, 165), (200, 190, 70)), pen.any(14, 24)
    pen.shape([(28, 50), (6, 50 - tall), (pen.any(10, 16), 50), (6, 50 + tall)], shade(scale, 0.8))
    pen.shape([(40, 52 - tall), (55, 34 - tall), (66, 54 - tall)], shade(scale, 0.8))
    pen.disc(56, 50, 36, tall, scale)
    for stripe in range(int(pen.rng.integers(0, 5))):
        pen.disc(38 + stripe * 9, 50, 2, tall * 0.8, shade(scale, 0.6))
    pen.disc(80, 46, 4, 4, (240, 240, 240))
    pen.disc(81, 46, 2, 2, (20, 20, 20))


def _house(pen: Pen) -> None:
    wall, roof = pen.one_of((220, 200, 170), (180, 80, 60), (150, 170, 190)), pen.one_of((120, 50, 40), (70, 70, 80))
    eave, half = pen.any(42, 54), pen.any(28, 40)
    pen.box(50 - half, eave, 2 * half, 94 - eave, wall)
    pen.shape([(50 - half - 6, eave), (50 + half + 6, eave), (50 + pen.any(-15, 15), pen.any(10, 26))], roof)
    pen.box(pen.any(42, 50), 74, 10, 20, shade(roof, 0.8))
    for x in (50 - half * 0.75, 50 + half * 0.4):
        pen.box(x, eave + 8, half * 0.35, 12, pen.one_of((160, 200, 230), (250, 225, 140)))


def _tree(pen: Pen) -> None:
    leaf, bark = pen.one_of((60, 120, 55), (190, 120, 40), (110, 140, 60), (150, 60, 40)), pen.one_of((100, 70, 45), (80, 65, 55))
    pen.box(46, 55, pen.any(6, 11), 42, bark)
    if pen.chance(0.4):
        for tier in range(4):
            half, low = 30 - tier * 6, 72 - tier * 15
            pen.shape([(50 - half, low), (50 + half, low), (50, 40 - tier * 12)], shade(leaf, 0.8 + 0.1 * tier))
        return
    for _ in range(int(pen.rng.integers(9, 20))):
        size = pen.any(9, 17)
        pen.disc(50 + pen.any(-26, 26), 38 + pen.any(-22, 18), size, size, shade(leaf, pen.any(0.7, 1.2)))


def _sailboat(pen: Pen) -> None:
    hull, sail = pen.one_of((150, 60, 45), (60, 80, 120), (235, 235, 235)), pen.one_of((245, 240, 230), (220, 90, 70), (90, 140, 190))
    mast = pen.any(46, 56)
    pen.shape([(14, 74), (88, 74), (pen.any(70, 80), 92), (26, 92)], hull)
    pen.line([(mast, 74), (mast, 8)], 2, (90, 70, 50))
    pen.shape([(mast + 2, 10), (mast + 2, 70), (pen.any(78, 90), 70)], sail)
    pen.shape([(mast - 2, pen.any(14, 28)), (mast - 2, 70), (pen.any(14, 26), 70)], shade(sail, 0.85))


def _umbrella(pen: Pen) -> None:
    cloth, panels = pen.one_of((200, 50, 60), (60, 90, 160), (230, 190, 60), (50, 50, 55)), int(pen.rng.integers(4, 8))
    top, rim, half = pen.any(12, 20), pen.any(48, 54), pen.any(36, 44)
    pen.line([(50, top - 4), (50, 86), (45, 92), (39, 88)], 3, (80, 60, 45))
    edge = [(50 - half + 2 * half * panel / panels, rim + (3 if 0 < panel < panels else 0)) for panel in range(panels + 1)]
    for panel, (start, end) in enumerate(itertools.pairwise(edge)):
        bow = [(50 + (x - 50) * 0.85, top + (rim - top) * 0.42) for x in (end[0], start[0])]
        middle = ((start[0] + end[0]) / 2, rim - 4)
        pen.shape([start, middle, end, bow[0], (50, top), bow[1]], shade(cloth, 1.15 if panel % 2 else 0.85))


def _salad(pen: Pen) -> None:
    green = pen.one_of((70, 130, 50), (100, 150, 60), (50, 100, 45), (130, 165, 80))
    if pen.chance(0.65):
        r = pen.any(40, 48)
        dish = pen.one_of((235, 235, 230), (150, 105, 65), (60, 70, 80), (180, 60, 50))
        pen.disc(50, 50, r, r * pen.any(0.75, 1), dish)
        pen.disc(50, 50, r * 0.85, r * 0.7, shade(dish, 0.85))
    for _ in range(int(pen.rng.integers(6, 26))):
        angle, spine = pen.any(0, 6.3), shade(green, pen.any(0.7, 1.3))
        x, y, length = 50 + pen.any(-22, 22), 50 + pen.any(-20, 20), pen.any(18, 32)
        for lobe in range(5):
            along = length * (0.25 + 0.18 * lobe)
            for side in (-1, 1):
                at = (x + along * 0.8 * math.cos(angle), y + along * 0.8 * math.sin(angle))
                pen.petal(*at, angle + side * 0.9, length * (0.2 + 0.05 * lobe), length * 0.16, spine)
        pen.petal(x, y, angle, length, length * 0.2, shade(spine, 1.1))
    for _ in range(int(pen.rng.choice([0, 0, 2, 4]))):
        pen.disc(pen.any(25, 75), pen.any(25, 75), 6, 6, pen.one_of((205, 50, 40), (240, 230, 190)))


def _chart(pen: Pen) -> None:
    pen.box(2, 2, 96, 96, (250, 250, 250))
    pen.line([(12, 10), (12, 88), (94, 88)], 1, (60, 60, 60))
    colours = [pen.one_of((60, 110, 180), (220, 120, 50), (90, 160, 90), (180, 60, 70)) for _ in range(3)]
    n, variant = int(pen.rng.integers(4, 12)), int(pen.rng.integers(3))
    heights = [pen.any(8, 74) for _ in range(n)]
    if variant == 0:
        for place, height in enumerate(heights):
            pen.box(15 + place * 78 / n, 88 - height, 60 / n, height, colours[place % int(pen.rng.integers(1, 4))])
    elif variant == 1:
        for colour in colours:
            pen.line([(12 + place * 80 / (n - 1), 88 - height * pen.any(0.7, 1.1)) for place, height in enumerate(heights)], 2, colour)
    else:
        for _ in range(n * 8):
            x = pen.any(14, 90)
            pen.disc(x, 88 - x * pen.any(0.3, 0.9), 1.6, 1.6, colours[0])


def _letter(pen: Pen) -> None:
    paper, ink = pen.one_of((250, 250, 245), (225, 215, 190)), pen.one_of((40, 40, 45), (30, 60, 120))
    if pen.chance(0.3):
        paper, ink = ink, paper
    pen.box(0, 0, 100, 100, paper)
    height = pen.any(2, 5)
    y = pen.any(4, 20)
    while y < 94:
        x, end = 8.0, 92.0 if pen.chance(0.8) else pen.any(30, 80)
        while x < end:
            word = min(pen.any(3, 16), 94 - x)
            pen.box(x, y, word, height * 0.55, ink)
            x += word + height * 0.5
        y += height * pen.any(1.5, 1.9)


def _pattern(pen: Pen) -> None:
    first, second = pen.one_of((200, 80, 80), (80, 120, 200), (240, 240, 240)), pen.one_of((40, 40, 60), (230, 200, 90), (90, 160, 120))
    pen.box(0, 0, 100, 100, first)
    variant, step = int(pen.rng.integers(3)), pen.any(6, 20)
    for row, column in itertools.product(range(int(100 / step) + 1), repeat=2):
        if variant == 0 and (row + column) % 2:
            pen.box(row * step, column * step, step, step, second)
        elif variant == 1:
            pen.disc(row * step, column * step, step * 0.3, step * 0.3, second)
        elif variant == 2 and row % 2 and not column:
            pen.box(row * step, 0, step, 100, second)


def _badge(pen: Pen) -> None:
    main, trim = pen.one_of((220, 60, 60), (40, 110, 180), (60, 150, 90), (240, 170, 40)), (245, 245, 245)
    pen.box(0, 0, 100, 100, pen.one_of((250, 250, 250), (30, 30, 40)))
    corners = int(pen.rng.integers(3, 8))
    turns = [corner * 2 * math.pi / corners for corner in range(corners)]
    pen.shape([(50 + 42 * math.sin(turn), 50 - 42 * math.cos(turn)) for turn in turns], main)
    for _ in range(int(pen.rng.integers(2, 6))):
        pen.shape([(pen.any(28, 72), pen.any(28, 72)) for _ in range(3)], trim if pen.chance(0.6) else shade(main, 0.6))
    pen.box(20, 86, pen.any(30, 60), 7, shade(main, 0.5))


SENSE_DRAWINGS: dict[str, Callable[[Pen], None]] = {"salad": _salad}
NEAR_DRAWINGS: dict[str, Callable[[Pen], None]] = {
    "fish": _fish,
    "house": _house,
    "sailboat": _sailboat,
    "tree": _tree,
    "umbrella": _umbrella,
}
WEB_DRAWINGS: dict[str, Callable[[Pen], None]] = {
    "badge": _badge,
    "chart": _chart,
    "letter": _letter,
    "pattern": _pattern,
}
