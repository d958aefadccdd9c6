"""Cut pictures out of photographs: windows and sprites from the samples that ship inside scikit-image and scikit-learn.

The files are read from the packages' folders; nothing is downloaded.
"""

import importlib.util
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]


@dataclass(frozen=True)
class Crop:
    """Windows that show a subject: `sides` pixels long, centred within `spread` of `centre`."""

    file: str
    centre: Point
    spread: Point
    sides: Point


@dataclass(frozen=True)
class CutOut:
    """A subject's outline around `centre`: one point is a disc's radii, more are a polygon, none is the file's own dark shape."""

    file: str
    centre: Point
    outline: tuple[Point, ...] = ()
    spread: Point = (0, 0)


_COINS = ((44, 53, 25), (155, 51, 26), (270, 119, 29), (103, 126, 22), (347, 187, 35), (213, 193, 27), (46, 260, 32), (301, 263, 29))
_SUIT = ((-150, 280), (-120, 40), (-60, -40), (-60, -190), (60, -190), (60, -40), (150, 60), (160, 280))
_BIKE = ((-260, 110), (-240, -20), (-100, -90), (60, -170), (120, -150), (280, 40), (260, 150), (-40, 170))
_TEMPLE = ((-150, 150), (-130, 20), (-60, -110), (0, -180), (60, -110), (130, 20), (150, 150))
_LAUNCHER = ((-22, 140), (-16, -110), (0, -125), (16, -110), (22, 140))
_SHUTTLE = ((-55, 145), (-30, -40), (0, -120), (30, -60), (55, 145))
CROPS: dict[str, tuple[Crop, ...]] = {
    "astronaut": (Crop("astronaut.png", (215, 210), (45, 100), (190, 420)),),
    "cat": (Crop("chelsea.png", (220, 150), (70, 40), (130, 290)),),
    "coffee": (Crop("coffee.png", (300, 190), (90, 50), (160, 390)),),
    "coin": (Crop("coins.png", (190, 150), (150, 110), (70, 260)),),
    "flower": (Crop("flower.jpg", (325, 205), (60, 50), (190, 420)),),
    "moon": (Crop("moon.png", (256, 256), (150, 150), (110, 420)),),
    "motorcycle": tuple(Crop(f"motorcycle_{side}.png", (370, 275), (70, 40), (280, 500)) for side in ("left", "right")),
    "pagoda": (Crop("china.jpg", (210, 190), (50, 60), (170, 420)),),
    "rocket": (Crop("rocket.jpg", (318, 250), (50, 50), (150, 400)), Crop("astronaut.png", (412, 125), (20, 30), (140, 260))),
    "galaxy": (Crop("hubble_deep_field.jpg", (500, 436), (380, 320), (110, 420)),),
    "tissue": (Crop("ihc.png", (256, 256), (170, 170), (110, 380)),),
    "photographer": (Crop("camera.png", (210, 190), (60, 50), (190, 420)),),
    "eye scan": (Crop("retina.jpg", (705, 705), (260, 260), (700, 1300)),),
    "texture": tuple(Crop(f"{name}.png", (256, 256), (180, 180), (90, 380)) for name in ("brick", "grass", "gravel")),
    "page": (Crop("page.png", (190, 95), (120, 30), (90, 190)), Crop("text.png", (224, 86), (150, 20), (90, 170))),
    "logo": (Crop("logo.png", (250, 250), (40, 40), (350, 600)), Crop("color.png", (185, 185), (60, 60), (150, 400))),
}
CUT_OUTS: dict[str, tuple[CutOut, ...]] = {
    "astronaut": (CutOut("astronaut.png", (215, 210), _SUIT),),
    "cat": (CutOut("chelsea.png", (220, 150), ((130, 125),)),),
    "coffee": (CutOut("coffee.png", (300, 190), ((185, 165),)),),
    "coin": tuple(CutOut("coins.png", (x, y), ((radius, radius),)) for x, y, radius in _COINS),
    "flower": (CutOut("flower.jpg", (325, 205), ((142, 142),)),),
    "horse": (CutOut("horse.png", (200, 164)),),
    "moon": (CutOut("moon.png", (256, 256), ((120, 120),), (130, 130)),),
    "motorcycle": tuple(CutOut(f"motorcycle_{side}.png", (370, 275), _BIKE) for side in ("left", "right")),
    "pagoda": (CutOut("china.jpg", (210, 190), _TEMPLE),),
    "rocket": (CutOut("rocket.jpg", (318, 250), _LAUNCHER), CutOut("astronaut.png", (412, 125), _SHUTTLE)),
}
# Blurred behind drawings and cut-outs, so that a background tells nothing about the subject: rooms, tables, skies, leaves.
BACKGROUNDS = tuple(
    Crop(file, (230, 190), (180, 140), (90, 350))
    for file in ("coffee.png", "china.jpg", "motorcycle_left.png", "flower.jpg", "rocket.jpg", "astronaut.png", "chelsea.png")
)
_COATS = ((130, 80, 45), (60, 45, 40), (200, 190, 180), (165, 115, 70), (25, 25, 28))
_IN_SKLEARN = ("china.jpg", "flower.jpg")


def crop(rng: np.random.Generator, window: Crop, size: tuple[int, int]) -> Image.Image:
    """A turned, stretched, perhaps mirrored window of a photograph: RGB of `size` (width, height)."""
    side = math.exp(rng.uniform(math.log(window.sides[0]), math.log(window.sides[1])))
    centre = _near(rng, window.centre, window.spread)
    angle, stretch = rng.normal(0, 0.2), math.exp(rng.normal(0, 0.1))
    mirror = -1 if rng.random() < 0.5 else 1
    step = side / max(size)  # pixels of the photograph per pixel of the picture; reduced first where that would alias
    reduction = 1 if step < 1.7 else 2 if step < 3.4 else 4
    image, border = _bordered(window.file, reduction)
    step /= reduction
    a, b = mirror * step * stretch * math.cos(angle), -step / stretch * math.sin(angle)
    d, e = mirror * step * stretch * math.sin(angle), step / stretch * math.cos(angle)
    x, y = centre[0] / reduction + border, centre[1] / reduction + border
    c, f = x - (a * size[0] + b * size[1]) / 2, y - (d * size[0] + e * size[1]) / 2
    return image.transform(size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


def cut_out(rng: np.random.Generator, subject: CutOut) -> Image.Image:
    """The subject alone on a transparent sheet: RGBA."""
    if not subject.outline:
        return _tinted(rng, subject.file)
    image, border = _bordered(subject.file, 1)
    x, y = _near(rng, subject.centre, subject.spread)
    reach = max(max(abs(px), abs(py)) for px, py in subject.outline) + 4
    left, top, side = round(x - reach + border), round(y - reach + border), round(2 * reach)
    sheet = image.crop((left, top, left + side, top + side))
    mask = Image.new("L", sheet.size)
    if len(subject.outline) == 1:
        rx, ry = subject.outline[0]
        ImageDraw.Draw(mask).ellipse([reach - rx, reach - ry, reach + rx, reach + ry], fill=255)
    else:
        ImageDraw.Draw(mask).polygon([(reach + px, reach + py) for px, py in subject.outline], fill=255)
    sheet.putalpha(mask.filter(ImageFilter.BoxBlur(2)))
    return sheet


def _near(rng: np.random.Generator, centre: Point, spread: Point) -> Point:
    return float(centre[0] + rng.uniform(-1, 1) * spread[0]), float(centre[1] + rng.uniform(-1, 1) * spread[1])


def _tinted(rng: np.random.Generator, name: str) -> Image.Image:
    """A black silhouette in a coat's colour, lighter above than below."""
    grey = _load(name).convert("L")
    coat = np.array(_COATS[int(rng.integers(len(_COATS)))])
    light = np.linspace(rng.uniform(1.0, 1.4), rng.uniform(0.5, 0.9), grey.height)[:, None, None]
    sheet = Image.fromarray(np.clip(coat * light * np.ones((1, grey.width, 1)), 0, 255).astype(np.uint8))
    sheet.putalpha(grey.point([255] * 128 + [0] * 128))
    return sheet


@cache
def _bordered(name: str, reduction: int) -> tuple[Image.Image, int]:
    """The photograph, reduced, inside a mirrored border so that turned windows stay filled; and the border's width."""
    pixels = np.asarray(_load(name).reduce(reduction))
    border = min(pixels.shape[:2]) // 2
    return Image.fromarray(np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="reflect")), border


@cache
def _load(name: str) -> Image.Image:
    """A photograph as RGB, on white where it is transparent. Raises ValueError where the package lacks it."""
    package, folder = ("sklearn", "datasets/images") if name in _IN_SKLEARN else ("skimage", "data")
    found = importlib.util.find_spec(package)
    places = found.submodule_search_locations if found else None
    path = Path(places[0] if places else package) / folder / name
    if not path.is_file():
        raise ValueError(f"{path} is missing: reinstall {package}, whose sample photographs the demo uses")
    with Image.open(path) as image:
        if image.mode != "RGBA":
            return image.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")
