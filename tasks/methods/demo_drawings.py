"""Draw the demo's concepts: each function fills one sheet with one subject.

A drawing varies its own build (tiers, petals, variants, colours); style, place and light are varied by `demo_pictures`.
"""

import math
from collections.abc import Callable

from tasks.methods.demo_pen import Pen, shade


def _cat(pen: Pen) -> None:
    fur = pen.one_of((200, 140, 80), (110, 110, 115), (50, 45, 45), (225, 215, 200), (140, 100, 70))
    dark, eye = shade(fur, 0.6), pen.one_of((120, 190, 80), (220, 190, 60), (90, 150, 200))
    x, y, r = (50.0, 54.0, pen.any(30, 36)) if pen.chance(0.5) else (50.0, 28.0, pen.any(15, 19))
    if r < 25:
        pen.line([(68, 88), (88, pen.any(70, 85)), (pen.any(82, 95), 50)], 7, dark)
        pen.disc(50, 70, pen.any(20, 27), 27, fur)
        for side in (-1, 1):
            pen.disc(50 + side * 13, 93, 8, 5, shade(fur, 1.15))
    for side in (-1, 1):
        tip = (x + side * r * 0.85, y - r * pen.any(1.25, 1.5))
        pen.shape([(x + side * r * 0.95, y - r * 0.3), tip, (x + side * r * 0.2, y - r * 0.85)], dark)
    pen.disc(x, y, r, r * 0.88, fur)
    for stripe in range(int(pen.rng.integers(0, 4))):
        pen.line([(x + (stripe - 1) * r * 0.25, y - r * 0.8), (x + (stripe - 1) * r * 0.2, y - r * 0.45)], r * 0.1, dark)
    for side in (-1, 1):
        pen.disc(x + side * r * 0.42, y - r * 0.1, r * 0.2, r * pen.any(0.12, 0.2), eye)
        pen.disc(x + side * r * 0.42, y - r * 0.1, r * 0.06, r * 0.15, (15, 15, 15))
        for whisker in (-0.1, 0.1):
            pen.line([(x + side * r * 0.25, y + r * 0.35), (x + side * r * 1.15, y + r * (0.3 + whisker * 2))], 0.8, shade(fur, 1.5))
    pen.shape([(x - r * 0.12, y + r * 0.22), (x + r * 0.12, y + r * 0.22), (x, y + r * 0.36)], (210, 120, 120))


def _horse(pen: Pen) -> None:
    coat = pen.one_of((130, 80, 45), (60, 45, 40), (200, 190, 180), (165, 115, 70), (110, 110, 115))
    mane, back = shade(coat, 0.5), pen.any(44, 50)
    for place, swing in ((30, -1), (36, 1), (62, -1), (68, 1)):
        step = swing * pen.any(-2, 8)
        pen.line([(place, back + 10), (place + step, 75), (place + step * 0.7, 93)], 5.5, shade(coat, 0.85 if swing < 0 else 1.0))
    pen.line([(24, back), (pen.any(10, 18), back + 12), (pen.any(8, 18), back + 32)], 6, mane)
    pen.disc(48, back + 4, 26, pen.any(12, 15), coat)
    top = pen.any(14, 22)
    pen.shape([(60, back - 4), (74, back + 12), (84, top + 10), (74, top)], coat)
    pen.shape([(73, top), (82, top + 2), (97, top + pen.any(16, 24)), (91, top + 26), (76, top + 14)], coat)
    pen.shape([(75, top + 1), (77, top - 8), (80, top + 2)], coat)
    pen.line([(73, top), (66, top + 12), (60, back - 4)], pen.any(3, 6), mane)


def _coffee(pen: Pen) -> None:
    china = pen.one_of((235, 235, 230), (180, 50, 35), (60, 90, 140), (40, 40, 45), (90, 140, 110))
    brew, table = pen.one_of((70, 40, 20), (165, 110, 65), (110, 65, 30)), shade(china, 0.8)
    if pen.chance(0.5):
        r, cup, angle = pen.any(36, 46), pen.any(22, 30), pen.any(0, 6.3)
        pen.disc(50, 50, r, r, table)
        pen.ring(50, 50, r * 0.75, 1.5, shade(china, 0.65))
        pen.line([(50, 50), (50 + (cup + 12) * math.cos(angle), 50 + (cup + 12) * math.sin(angle))], 7, china)
        pen.disc(50, 50, cup, cup, china)
        pen.disc(50, 50, cup * 0.84, cup * 0.84, brew)
        for _ in range(int(pen.rng.integers(0, 5))):
            pen.petal(50, 50, pen.any(0, 6.3), cup * 0.7, cup * 0.3, shade(brew, 1.7))
        return
    wide, top = pen.any(20, 30), pen.any(36, 46)
    pen.disc(50, 88, wide * 1.55, 6, table)
    pen.ring(50 + wide, (top + 80) / 2, 12, 4, china)
    pen.shape([(50 - wide, top), (50 + wide, top), (50 + wide * pen.any(0.55, 0.95), 87), (50 - wide * 0.8, 87)], china)
    pen.disc(50, top, wide, wide * 0.25, shade(china, 0.75))
    pen.disc(50, top + 1, wide * 0.88, wide * 0.19, brew)
    for place in range(int(pen.rng.integers(0, 4))):
        x = 40 + place * 10
        pen.line([(x, top - 6), (x + pen.any(-6, 6), top - 15), (x + pen.any(-4, 4), top - 26)], 2, (215, 215, 215))


def _coin(pen: Pen) -> None:
    metal = pen.one_of((205, 165, 60), (185, 185, 190), (170, 105, 60), (120, 110, 85))
    if pen.chance(0.25):
        for stack in range(int(pen.rng.integers(1, 4))):
            for level in range(int(pen.rng.integers(3, 9))):
                pen.disc(25 + 25 * stack, 90 - level * 6, 14, 5, shade(metal, 0.6))
                pen.disc(25 + 25 * stack, 88 - level * 6, 14, 5, metal)
        return
    n = int(pen.rng.choice([1, 2, 4, 7]))
    r = (42.0, 26.0, 21.0, 16.0)[(1, 2, 4, 7).index(n)]
    for _ in range(n):
        x, y, tilt = (50.0, 50.0, pen.any(0.7, 1)) if n == 1 else (pen.any(r, 100 - r), pen.any(r, 100 - r), 1.0)
        pen.disc(x + 1.5, y + 1.5, r * tilt, r, shade(metal, 0.5))
        pen.disc(x, y, r * tilt, r, metal)
        pen.disc(x, y, r * 0.85 * tilt, r * 0.85, shade(metal, 0.8))
        pen.disc(x, y, r * 0.8 * tilt, r * 0.8, shade(metal, 0.95))
        relief = shade(metal, pen.any(1.2, 1.4))
        if pen.chance(0.5):
            pen.disc(x, y - r * 0.15, r * 0.28, r * 0.36, relief)
            pen.shape([(x - r * 0.4, y + r * 0.6), (x + r * 0.4, y + r * 0.6), (x, y)], relief)
        else:
            for spoke in range(5):
                pen.petal(x, y, spoke * 1.257, r * 0.6, r * 0.25, relief)


def _flower(pen: Pen) -> None:
    bloom = pen.one_of((235, 130, 70), (220, 60, 90), (240, 210, 70), (150, 90, 190), (240, 235, 235), (110, 130, 220))
    leaf, x, y = pen.one_of((60, 130, 60), (90, 140, 50)), 50.0, 50.0
    if pen.chance(0.6):
        y = pen.any(28, 36)
        pen.line([(x, y), (pen.any(44, 56), 70), (50, 98)], 3.5, leaf)
        for side in (-1, 1):
            pen.petal(50, pen.any(66, 88), math.pi / 2 - side * pen.any(1.4, 2.1), 28, 10, leaf)
    r = pen.any(24, 30) if y < 45 else pen.any(36, 46)
    petals = int(pen.rng.integers(5, 15))
    for layer in range(int(pen.rng.integers(1, 4))):
        size = r * (1 - 0.27 * layer)
        for petal in range(petals):
            angle = (petal + layer / 2) * 2 * math.pi / petals
            pen.petal(x, y, angle, size, size * 7 / (petals + 3), shade(bloom, 0.75 + 0.15 * layer + 0.12 * (petal % 2)))
    if pen.chance(0.7):
        pen.disc(x, y, r * 0.22, r * 0.22, pen.one_of((220, 180, 60), (100, 60, 30)))


def _moon(pen: Pen) -> None:
    rock = pen.one_of((190, 190, 185), (225, 215, 170), (150, 150, 155), (215, 170, 120))
    r = pen.any(34, 46)
    pen.disc(50, 50, r, r, rock)
    for _ in range(int(pen.rng.integers(5, 22))):
        angle, away, size = pen.any(0, 6.3), r * math.sqrt(pen.any(0, 0.75)), r * pen.any(0.03, 0.15)
        x, y = 50 + away * math.cos(angle), 50 + away * math.sin(angle)
        pen.disc(x, y, size, size, shade(rock, 1.12))
        pen.disc(x + size * 0.2, y + size * 0.2, size * 0.85, size * 0.85, shade(rock, 0.75))
    if pen.chance(0.45):
        pen.cut(50 + r * pen.any(0.4, 1.1), 50 - r * pen.any(-0.2, 0.4), r)


def _motorcycle(pen: Pen) -> None:
    paint = pen.one_of((190, 35, 35), (40, 60, 150), (45, 45, 50), (220, 150, 40), (60, 120, 80))
    steel, rubber, r = (150, 150, 155), (35, 35, 38), pen.any(15, 19)
    left, right, axle = pen.any(19, 24), pen.any(76, 81), 75.0
    for x in (left, right):
        pen.ring(x, axle, r, pen.any(3.5, 6), rubber)
        pen.disc(x, axle, 3.5, 3.5, steel)
        if pen.chance(0.6):
            for spoke in range(4):
                angle = spoke * math.pi / 4
                dx, dy = (r - 3) * math.cos(angle), (r - 3) * math.sin(angle)
                pen.line([(x - dx, axle - dy), (x + dx, axle + dy)], 0.8, steel)
    pen.line([(right, axle), (68, 40), (64, 32), (56, 30)], 3, steel)
    pen.line([(left, axle), (42, 68), (60, 70), (67, 45), (34, 52), (42, 70)], 3, shade(paint, 0.7))
    pen.disc(50, 68, 11, 9, steel)
    pen.line([(50, 76), (30, 82), (10, pen.any(78, 84))], 4, shade(steel, 1.2))
    pen.disc(55, 49, 13, pen.any(6, 8), paint)
    pen.shape([(44, 50), (26, 46), (14, pen.any(40, 48)), (24, 54), (42, 57)], (50, 40, 35))
    if pen.chance(0.7):
        pen.disc(70, 43, 4.5, 4.5, (245, 235, 180))


def _pagoda(pen: Pen) -> None:
    roof = pen.one_of((60, 90, 80), (130, 45, 40), (70, 65, 70), (165, 120, 50))
    wall, tiers = pen.one_of((170, 60, 45), (215, 200, 170), (120, 85, 60)), int(pen.rng.integers(3, 7))
    step, wide, shrink = 74 / tiers, pen.any(24, 36), pen.any(0.78, 0.9)
    for tier in range(tiers):
        half, bottom = wide * shrink**tier, 96 - tier * step
        pen.box(50 - half * 0.68, bottom - step, half * 1.36, step, wall)
        for window in range(3):
            pen.box(50 - half * 0.5 + window * half * 0.38, bottom - step * 0.6, half * 0.2, step * 0.45, shade(wall, 0.45))
        eave, lift = bottom - step * 0.75, step * pen.any(0.1, 0.3)
        pen.shape(
            [
                (50 - half * 1.15, eave - lift),
                (50 - half * 0.8, eave),
                (50 + half * 0.8, eave),
                (50 + half * 1.15, eave - lift),
                (50 + half * 0.55, bottom - step * 1.15),
                (50 - half * 0.55, bottom - step * 1.15),
            ],
            roof,
        )
    pen.line([(50, 96 - tiers * step), (50, pen.any(6, 12))], 2.5, roof)


def _rocket(pen: Pen) -> None:
    hull = pen.one_of((230, 230, 232), (190, 195, 205), (200, 60, 50), (70, 90, 130), (225, 170, 70))
    trim, half = pen.one_of((200, 50, 45), (50, 55, 65), (240, 150, 40), (60, 110, 170)), pen.any(6, 13)
    nose, tail = pen.any(12, 24), pen.any(70, 78)
    if pen.chance(0.6):
        for side in (-0.5, 0.0, 0.5):
            pen.petal(50 + side * half, tail - 3, math.pi / 2, pen.any(14, 26), half * 0.9, pen.one_of((250, 180, 50), (245, 110, 40)))
    if pen.chance(0.35):
        for side in (-1, 1):
            pen.shape(
                [
                    (50 + side * half * 0.9, 40),
                    (50 + side * half * 1.5, 34),
                    (50 + side * half * 2.1, 40),
                    (50 + side * half * 2.1, tail),
                    (50 + side * half * 0.9, tail),
                ],
                shade(hull, 0.85),
            )
    else:
        for side in (-1, 1):
            root = 50 + side * half * 0.8
            pen.shape([(root, tail - 22), (50 + side * half * pen.any(2, 3), tail + 4), (root, tail - 2)], trim)
    pen.box(50 - half, nose + 16, half * 2, tail - nose - 16, hull)
    pen.shape(
        [(50 - half, nose + 17), (50 - half * 0.7, nose + 8), (50, nose - 6), (50 + half * 0.7, nose + 8), (50 + half, nose + 17)],
        trim if pen.chance(0.5) else shade(hull, 0.9),
    )
    for window in range(int(pen.rng.integers(0, 4))):
        pen.disc(50, nose + 24 + window * 11, half * 0.45, half * 0.45, shade(trim, 0.6))
    if pen.chance(0.5):
        pen.box(50 - half, tail - 12, half * 2, 4, trim)


def _astronaut(pen: Pen) -> None:
    suit = pen.one_of((230, 230, 228), (225, 115, 45), (190, 195, 205), (70, 95, 150))
    visor, bust = pen.one_of((40, 50, 70), (210, 160, 60), (225, 180, 150)), pen.chance(0.4)
    scale = 1.6 if bust else 1.0
    y, r = (38.0, 22.0) if bust else (22.0, 14.0)
    pen.box(50 - 18 * scale, y + r * 0.6, 36 * scale, 30 * scale, shade(suit, 0.65))
    for side in (-1, 1):
        hand = (50 + side * pen.any(24, 38) * scale, y + r + pen.any(0, 34) * scale)
        pen.line([(50 + side * 12 * scale, y + r + 6 * scale), (50 + side * 24 * scale, y + r + 14 * scale), hand], 9 * scale, suit)
        pen.disc(*hand, 5.5 * scale, 5.5 * scale, shade(suit, 0.8))
        foot = (50 + side * pen.any(6, 18), y + r + 56 * scale)
        pen.line([(50 + side * 7 * scale, y + r + 30 * scale), foot], 11 * scale, shade(suit, 0.92))
    pen.disc(50, y + r + 18 * scale, 15 * scale, 20 * scale, suit)
    pen.box(50 - 7 * scale, y + r + 10 * scale, 14 * scale, 8 * scale, shade(suit, 0.7))
    pen.disc(50, y, r, r, shade(suit, 1.1))
    pen.disc(50, y + r * 0.05, r * 0.76, r * 0.66, visor)
    pen.disc(50 - r * 0.3, y - r * 0.2, r * 0.16, r * 0.1, shade(visor, 2))


CONCEPT_DRAWINGS: dict[str, Callable[[Pen], None]] = {
    "astronaut": _astronaut,
    "cat": _cat,
    "coffee": _coffee,
    "coin": _coin,
    "flower": _flower,
    "horse": _horse,
    "moon": _moon,
    "motorcycle": _motorcycle,
    "pagoda": _pagoda,
    "rocket": _rocket,
}
