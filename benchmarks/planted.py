"""Plant copies: pictures, and copies of some of them changed in ten ways, out of photographs and small web pictures."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

TILE = 128  # pixels of a photograph's part
MIN_CONTRAST = 20.0  # standard deviation of grey: parts of sky and walls look like one another
QUALITY = 90  # JPEG, of all that isn't recompressed
RESAMPLE = Image.Resampling.LANCZOS


@dataclass(frozen=True)
class Picture:
    """An encoded picture, the number of its original, and what was done to it ("original" for that one)."""

    data: bytes
    original: int
    kind: str


def plant(data: Path, n_pictures: int, seed: int) -> list[Picture]:
    """`n_pictures` in shuffled order, half of them copies of parts of photographs, as many of each kind; parts of one don't overlap.

    The rest are the parts and a crowd of small pictures from evaluation sets.
    """
    rng = np.random.default_rng(seed)
    per_kind = n_pictures // (2 * len(KINDS))
    parts = [part for path in sorted((data / "photos").iterdir()) for part in cut(path)]
    if len(parts) < per_kind:
        raise SystemExit(
            f"{data}/photos has {len(parts)} parts of {TILE} pixels with contrast, {per_kind} are wanted: ask for fewer pictures"
        )
    parts = [parts[place] for place in rng.permutation(len(parts))[: 2 * per_kind].tolist()]
    originals = [*parts, *islice(crowd(data), n_pictures - per_kind * len(KINDS) - len(parts))]
    made = [Picture(encode(rgb, QUALITY), number, "original") for number, rgb in enumerate(originals)]
    for kind, change in KINDS.items():
        for number in rng.choice(len(parts), size=per_kind, replace=False).tolist():
            made.append(Picture(change(originals[number], made[number].data, rng), number, kind))
    return [made[place] for place in rng.permutation(len(made))]


def crowd(data: Path) -> Iterator[Image.Image]:
    """Small pictures, no two of one original."""
    for name in ("in_domain_test", "near_domain_train"):
        for batch in pq.ParquetFile(data / "eval" / f"{name}.parquet").iter_batches(batch_size=500, columns=["image"]):
            for body in batch["image"].to_pylist():
                yield Image.open(io.BytesIO(body)).convert("RGB")


def cut(path: Path) -> Iterator[Image.Image]:
    """Parts of a photograph side by side, those with some contrast."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    for top in range(0, rgb.height - TILE + 1, TILE):
        for left in range(0, rgb.width - TILE + 1, TILE):
            part = rgb.crop((left, top, left + TILE, top + TILE))
            if np.asarray(part.convert("L"), np.float32).std() >= MIN_CONTRAST:
                yield part


def encode(rgb: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    rgb.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def cropped(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """80 % of either side, anywhere."""
    width, height = round(0.8 * rgb.width), round(0.8 * rgb.height)
    left, top = int(rng.integers(0, rgb.width - width + 1)), int(rng.integers(0, rgb.height - height + 1))
    return rgb.crop((left, top, left + width, top + height))


def rescaled(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """To between half and twice the size."""
    factor = 2 ** rng.uniform(-1, 1)
    return rgb.resize((max(16, round(rgb.width * factor)), max(16, round(rgb.height * factor))), RESAMPLE)


def bordered(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A frame of 4 to 10 % of the width, black, white or of another colour."""
    width = max(1, round(rng.uniform(0.04, 0.1) * rgb.width))
    colours = [(0, 0, 0), (255, 255, 255), tuple(rng.integers(0, 256, 3).tolist())]
    return ImageOps.expand(rgb, width, colours[rng.integers(0, 3)])


def watermarked(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Half transparent words across the middle, as stock photographs have."""
    layer = Image.new("RGBA", rgb.size, (0, 0, 0, 0))
    font = ImageFont.load_default(size=max(6, rgb.width // 6))
    ImageDraw.Draw(layer).text((rgb.width // 2, rgb.height // 2), "SAMPLE", (255, 255, 255, int(rng.integers(90, 150))), font, anchor="mm")
    return Image.alpha_composite(rgb.convert("RGBA"), layer).convert("RGB")


def colour_shifted(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Other saturation, brightness and contrast, and each channel up to a tenth stronger or weaker."""
    changed = ImageEnhance.Color(rgb).enhance(rng.uniform(0.5, 1.5))
    changed = ImageEnhance.Brightness(changed).enhance(rng.uniform(0.85, 1.15))
    changed = ImageEnhance.Contrast(changed).enhance(rng.uniform(0.85, 1.15))
    pixels = np.asarray(changed, np.float32) * rng.uniform(0.9, 1.1, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def rotated(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """By 5 degrees to either side, black corners."""
    return rgb.rotate(float(rng.choice([-5, 5])), Image.Resampling.BICUBIC)


def overlaid(rgb: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A line of opaque text with a shadow at the lower edge, as in memes."""
    changed = rgb.copy()
    words = " ".join(rng.choice(["when", "you", "see", "it", "monday", "again", "best", "day", "ever"], 3))
    place = rgb.width // 2, round(0.88 * rgb.height)
    font = ImageFont.load_default(size=max(6, rgb.width // 9))
    ImageDraw.Draw(changed).text(
        place, words, (255, 255, 255), font, anchor="mm", stroke_width=max(1, rgb.width // 100), stroke_fill=(0, 0, 0)
    )
    return changed


Change = Callable[[Image.Image, bytes, np.random.Generator], bytes]


def redrawn(change: Callable[[Image.Image, np.random.Generator], Image.Image]) -> Change:
    """A change of pixels, encoded as the originals are."""
    return lambda rgb, _, rng: encode(change(rgb, rng), QUALITY)


KINDS: dict[str, Change] = {
    "exact": lambda _, data, __: data,
    "recompressed": lambda rgb, _, __: encode(rgb, 30),
    "rescaled": redrawn(rescaled),
    "mirrored": redrawn(lambda rgb, _: ImageOps.mirror(rgb)),
    "bordered": redrawn(bordered),
    "colour_shifted": redrawn(colour_shifted),
    "cropped": redrawn(cropped),
    "rotated": redrawn(rotated),
    "watermarked": redrawn(watermarked),
    "overlaid": redrawn(overlaid),
}
