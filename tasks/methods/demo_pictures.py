"""Make the demo's pictures: the pixels of one picture out of its subject and its id, the same everywhere.

Three sources: windows of photographs, cut-outs of them on other backgrounds, and drawings. Place, angle, light, colour, blur
and noise vary, so that no single cue gives a subject away.
"""

import hashlib
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageStat

from tasks.methods.demo_drawings import CONCEPT_DRAWINGS
from tasks.methods.demo_others import NEAR_DRAWINGS, SENSE_DRAWINGS, WEB_DRAWINGS
from tasks.methods.demo_pen import Pen
from tasks.methods.demo_photos import BACKGROUNDS, CROPS, CUT_OUTS, crop, cut_out

NOISE = "noise"
SIDES = (96, 160)  # pixels, both included
_SCENES = {**CONCEPT_DRAWINGS, **SENSE_DRAWINGS, **NEAR_DRAWINGS}
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def subjects() -> list[str]:
    """Everything that `make_picture` can show."""
    return sorted({NOISE, *CROPS, *_SCENES, *WEB_DRAWINGS})


def seed_of(*parts: object) -> int:
    """A 64-bit seed out of names and numbers."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest(), "little")


def make_picture(*, subject: str, picture_id: str) -> np.ndarray:
    """A picture of the subject, (height, width, 3) uint8 with sides of 96 to 160 pixels.

    Raises ValueError for an unknown subject.
    """
    if subject not in subjects():
        raise ValueError(f"no picture of '{subject}': take one of {', '.join(subjects())}")
    rng = np.random.default_rng(seed_of(subject, picture_id))
    size = (int(rng.integers(SIDES[0], SIDES[1] + 1)), int(rng.integers(SIDES[0], SIDES[1] + 1)))
    if subject == NOISE:
        return _expose(rng, _clouds(rng, size))
    if subject in WEB_DRAWINGS:
        pen = Pen(rng)
        WEB_DRAWINGS[subject](pen)
        return _expose(rng, pen.image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    return _expose(rng, _scene(rng, subject, size))


def _scene(rng: np.random.Generator, subject: str, size: tuple[int, int]) -> Image.Image:
    """A window of a photograph, a cut-out or a drawing: about 40, 25 and 35 % where a subject has all three."""
    crops, cut_outs = CROPS.get(subject, ()), CUT_OUTS.get(subject, ())
    choice = rng.random()
    if crops and (choice < 0.4 or subject not in _SCENES):
        return crop(rng, crops[int(rng.integers(len(crops)))], size)
    if cut_outs and choice < 0.65:
        return _compose(rng, cut_out(rng, cut_outs[int(rng.integers(len(cut_outs)))]), size)
    pen = Pen(rng)
    _SCENES[subject](pen)
    return _compose(rng, pen.image, size)


def _compose(rng: np.random.Generator, sprite: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A sprite on a background, sometimes as a silhouette, partly out of view or behind something."""
    background = _background(rng, size)
    if rng.random() < 0.06:
        silhouette = Image.new("RGB", sprite.size, _colour(rng, 0, 90))
        silhouette.putalpha(sprite.getchannel("A"))
        sprite = silhouette
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ratio = min(size) * rng.uniform(0.7, 1.2) / max(sprite.size)
    sprite = sprite.resize((round(sprite.width * ratio), round(sprite.height * ratio)), Image.Resampling.BILINEAR, reducing_gap=1.5)
    sprite = sprite.rotate(float(rng.normal(0, 9)), Image.Resampling.BILINEAR, expand=True)
    left, top = (round((size[axis] - sprite.size[axis]) / 2 + rng.normal(0, 0.06) * size[axis]) for axis in (0, 1))
    background.paste(sprite, (left, top), sprite)
    if rng.random() < 0.08:
        x, y = float(rng.uniform(0, 0.8) * size[0]), float(rng.uniform(0, 0.8) * size[1])
        corner = (x + size[0] * float(rng.uniform(0.1, 0.4)), y + size[1] * float(rng.uniform(0.1, 0.3)))
        ImageDraw.Draw(background).rectangle([(x, y), corner], fill=_colour(rng, 0, 256))
    return background


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    choice = rng.random()
    if choice < 0.5:
        window = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
        return crop(rng, window, size).filter(ImageFilter.BoxBlur(float(rng.uniform(4, 12))))
    if choice < 0.65:
        return _clouds(rng, size)
    above, below = (np.array(_colour(rng, 20, 240), dtype=float) for _ in range(2))
    mix = np.linspace(0, 1, size[1])[:, None, None]
    if rng.random() < 0.5:
        mix = (mix > rng.uniform(0.4, 0.8)).astype(float)  # a horizon
    return Image.fromarray(((above * (1 - mix) + below * mix) * np.ones((1, size[0], 1))).astype(np.uint8))


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    cells, spread = int(rng.integers(2, 9)), rng.uniform(10, 40)
    coarse = np.array(_colour(rng, 40, 216)) + rng.normal(0, 1, (cells, cells, 3)) * spread
    return Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def _colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in rng.integers(low, high, 3))
    return red, green, blue


def _expose(rng: np.random.Generator, image: Image.Image) -> np.ndarray:
    """Blur, colour, light and grain of some camera: (height, width, 3) uint8."""
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.5, 1.8))))
    hue, saturation = rng.normal(0, 0.2), 0.0 if rng.random() < 0.06 else rng.uniform(0.5, 1.3)
    i, q = saturation * math.cos(hue), saturation * math.sin(hue)
    contrast, brightness = rng.uniform(0.65, 1.2), rng.normal(0, 15)
    mixing = contrast * _FROM_YIQ @ np.array([[1, 0, 0], [0, i, -q], [0, q, i]]) @ _TO_YIQ
    offset = (1 - contrast) * ImageStat.Stat(image.convert("L")).mean[0] + brightness
    image = image.convert("RGB", tuple(float(part) for row in mixing for part in (*row, offset)))
    if rng.random() < 0.5:
        return np.asarray(image)
    grain = rng.standard_normal((image.height, image.width, 1), dtype=np.float32) * np.float32(rng.uniform(2, 12))
    return np.asarray(np.clip(np.asarray(image) + grain, 0, 255), dtype=np.uint8)
