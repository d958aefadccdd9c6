"""Draw on a transparent sheet: discs, shapes, lines and petals in units that don't depend on pixels."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

SIDE = 208  # pixels of a sprite; coordinates run from 0 to 100 whatever it is
Colour = tuple[int, int, int]
Point = tuple[float, float]


class Pen:
    """A transparent sheet of 100 x 100 units with its random generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.image = Image.new("RGBA", (SIDE, SIDE))
        self._draw = ImageDraw.Draw(self.image)

    def any(self, low: float, high: float) -> float:
        """A number between the two."""
        return float(self.rng.uniform(low, high))

    def one_of(self, *choices: Colour) -> Colour:
        """One of the colours, a little off."""
        chosen = choices[int(self.rng.integers(len(choices)))]
        return shade(chosen, self.any(0.75, 1.2))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def cut(self, x: float, y: float, radius: float) -> None:
        """Make a disc of the sheet transparent again."""
        self._draw.ellipse([_px(x - radius), _px(y - radius), _px(x + radius), _px(y + radius)], fill=(0, 0, 0, 0))

    def disc(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        self._draw.ellipse([_px(x - rx), _px(y - ry), _px(x + rx), _px(y + ry)], fill=fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: Colour) -> None:
        box = [_px(x - radius), _px(y - radius), _px(x + radius), _px(y + radius)]
        self._draw.ellipse(box, outline=fill, width=max(1, round(_px(width))))

    def shape(self, points: Sequence[Point], fill: Colour) -> None:
        self._draw.polygon([(_px(x), _px(y)) for x, y in points], fill=fill)

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        self._draw.rectangle([_px(x), _px(y), _px(x + width), _px(y + height)], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        self._draw.line([(_px(x), _px(y)) for x, y in points], fill=fill, width=max(1, round(_px(width))), joint="curve")

    def petal(self, x: float, y: float, angle: float, length: float, width: float, fill: Colour) -> None:
        """A pointed oval that starts at (x, y) and runs towards `angle` (radians)."""
        turn = np.linspace(0, math.pi, 7)
        along, across = length * (1 - np.cos(turn)) / 2, width / 2 * np.sin(turn)
        along, across = np.concatenate([along, along[::-1]]), np.concatenate([across, -across[::-1]])
        xs = x + along * math.cos(angle) - across * math.sin(angle)
        ys = y + along * math.sin(angle) + across * math.cos(angle)
        self.shape(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (below 1) or lighter (above 1) colour."""
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue


def _px(value: float) -> float:
    return value * SIDE / 100
