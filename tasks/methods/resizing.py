"""Resize: a picture of another size out of a picture, antialiased, by the processor's vector instructions where there is a build for it.

Both ways are the same bicubic filter (a = -0.5) with 8-bit results; which instructions there are changes no byte. Pillow goes along the
rows first and cykooz_resizer along the columns, so they differ by rounding, and where a sharp edge overshoots by a little more.
"""

from functools import cache
from typing import Any

from PIL import Image


def bicubic(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An RGB image in that size; one that has it already is returned as it is."""
    return image if image.size == size else _resized(image, size, (0.0, 0.0, float(image.width), float(image.height)), cut=False)


def centre_square(image: Image.Image, side: int) -> Image.Image:
    """The largest square in the middle of an RGB image, in `side` x `side` pixels; an image that is one already is returned as it is."""
    if image.size == (side, side):
        return image
    least = min(image.size)
    left, top = (image.width - least) / 2, (image.height - least) / 2
    return _resized(image, (side, side), (left, top, left + least, top + least), cut=True)


def _resized(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float], *, cut: bool) -> Image.Image:
    found = _resizer(cut)
    if found is None:
        return image.resize(size, Image.Resampling.BICUBIC, box=box)
    resizer, options = found
    made = Image.new("RGB", size)
    resizer.resize_pil(image, made, options)
    return made


@cache
def _resizer(cut: bool) -> tuple[Any, Any] | None:
    """cykooz_resizer's, with its options, `cut` to the middle that has the shape asked for; None where it has no build (Linux on ARM)."""
    try:
        from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer
    except ModuleNotFoundError:
        return None
    filters = ResizeAlg.convolution(FilterType.catmull_rom)
    return Resizer(), ResizeOptions(resize_alg=filters, use_alpha=False, fit_into_destination=cut)
