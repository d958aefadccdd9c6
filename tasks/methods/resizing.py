"""Resize: a picture of another size out of a picture, antialiased, by the processor's vector instructions where there is a build for it.

Both ways are the same bicubic filter (a = -0.5) with 8-bit results, and differ by rounding; which instructions there are changes no byte.
"""

from functools import cache
from typing import Any

from PIL import Image


def bicubic(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An RGB image in that size; one that has it already is returned as it is."""
    if image.size == size:
        return image
    found = _resizer()
    if found is None:
        return image.resize(size, Image.Resampling.BICUBIC)
    resizer, options = found
    made = Image.new("RGB", size)
    resizer.resize_pil(image, made, options)
    return made


@cache
def _resizer() -> tuple[Any, Any] | None:
    """cykooz_resizer's, with its options; None where it has no build (Linux on ARM)."""
    try:
        from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer
    except ModuleNotFoundError:
        return None
    return Resizer(), ResizeOptions(resize_alg=ResizeAlg.convolution(FilterType.catmull_rom), use_alpha=False)
