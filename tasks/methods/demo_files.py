"""Make the demo's files: bytes out of pixels, as servers hold them: encoded, copied with small changes, or damaged."""

import io
from typing import Literal

import numpy as np
from PIL import Image

Damage = Literal["truncated", "html", "random", "empty", "small"]
FORMATS = {"jpeg": 0.70, "webp": 0.18, "png": 0.12}
EXTENSIONS = {"jpeg": "jpg", "webp": "webp", "png": "png"}
MIN_SIDE = 64  # pixels; no copy is made smaller, so that size alone gives none away
ICON_SIDES = (8, 24)  # pixels of what is too small to learn from


def encode(pixels: np.ndarray, *, rng: np.random.Generator) -> tuple[bytes, str]:
    """The bytes of (height, width, 3) uint8 pixels in a random format and quality, and the format's file extension."""
    kind = list(FORMATS)[int(rng.choice(len(FORMATS), p=list(FORMATS.values())))]
    file, image, quality = io.BytesIO(), Image.fromarray(pixels), int(rng.integers(60, 96))
    if kind == "png":
        image.save(file, "png", compress_level=4)
    elif kind == "webp":
        image.save(file, "webp", quality=quality, method=0)
    else:
        image.save(file, "jpeg", quality=quality)
    return file.getvalue(), EXTENSIONS[kind]


def alter(pixels: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """The pixels as a second site shows them: as they are (to be encoded anew), trimmed, mirrored or rescaled."""
    change = ("encoded", "trimmed", "mirrored", "rescaled")[int(rng.integers(4))]
    image = Image.fromarray(pixels)
    if change == "trimmed":
        left, top, right, bottom = (float(rng.uniform(0.01, 0.04)) for _ in range(4))
        width, height = image.size
        image = image.crop((round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height)))
    elif change == "mirrored":
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif change == "rescaled":
        scale = max(float(rng.choice([0.6, 0.75, 1.5])), MIN_SIDE / min(image.size))
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    return np.asarray(image)


def damage(pixels: np.ndarray, *, kind: Damage, rng: np.random.Generator) -> tuple[bytes, str]:
    """What a broken page answers instead of the picture, and the extension that its address has."""
    if kind == "small":
        width, height = (int(side) for side in rng.integers(ICON_SIDES[0], ICON_SIDES[1] + 1, 2))
        return encode(np.asarray(Image.fromarray(pixels).resize((width, height))), rng=rng)
    if kind == "html":
        code = int(rng.choice([403, 404, 500]))
        page = f"<!DOCTYPE html><html><head><title>Error {code}</title></head><body><h1>This picture is not here</h1></body></html>"
        return page.encode(), "jpg"
    if kind == "random":
        return rng.bytes(int(rng.integers(500, 4000))), "jpg"
    if kind == "empty":
        return b"", "jpg"
    whole, extension = encode(pixels, rng=rng)
    return whole[: int(len(whole) * rng.uniform(0.2, 0.7))], extension
