"""Draw a picture in characters: two pixels to a cell, one above the other, out of an image's bytes."""

from io import BytesIO

import numpy as np
from PIL import Image

from tasks.methods.pictures import DECODER_ERRORS, to_rgb

UPPER = "\u2580"  # upper half block: its colour is the upper pixel, the cell's background the lower one
Cell = tuple[tuple[int, int, int], tuple[int, int, int]]


def half_blocks(data: bytes, *, columns: int, lines: int) -> list[list[Cell]]:
    """Rows of cells (upper colour, lower colour) that fit into `columns` x `lines`, the proportions kept; none for what is no picture."""
    try:
        image = to_rgb(Image.open(BytesIO(data)))
    except DECODER_ERRORS:
        return []
    scale = min(columns / image.width, 2 * lines / image.height)
    width, height = max(1, round(image.width * scale)), 2 * max(1, round(image.height * scale / 2))
    pixels = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS)).tolist()
    return [[(tuple(up), tuple(down)) for up, down in zip(pixels[y], pixels[y + 1], strict=True)] for y in range(0, height, 2)]
