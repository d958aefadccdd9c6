"""Compare pictures: their thumbnails and perceptual hashes, and how alike two of them are pixel by pixel.

Hashes only propose: on small or smooth pictures, different photographs come as near as copies. Thumbnails confirm.
"""

import numpy as np
from PIL import Image

SIDE = 32  # of a thumbnail; also what pHash shrinks a picture to
BITS = 64
COMPARED = 2048  # pictures at once; bounds memory, changes no result
HASHED = 8  # lowest frequencies each way
COSINES = 2 * np.cos(np.pi / SIDE * np.outer(np.arange(HASHED), np.arange(SIDE) + 0.5))  # discrete cosine transform, type 2
MIRRORED = np.where(np.arange(HASHED) % 2, -1.0, 1.0)


def thumbnail(rgb: Image.Image) -> bytes:
    """The 32 x 32 grey picture that pHash is made of: 1,024 bytes, row by row."""
    return rgb.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0).tobytes()


def hashes_of_thumbnail(pixels: bytes) -> tuple[int, int]:
    """64-bit pHash of an image's thumbnail and of its mirror image (most significant bit first; Zauner 2010).

    The 8 x 8 lowest frequencies of the thumbnail's cosine transform, each a bit: above their median. What a mirror does to a picture
    it does to the transform: odd horizontal frequencies change their sign.
    """
    grey = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE).astype(np.float64)
    lowest = (COSINES @ grey @ COSINES.T).round(6)  # an even picture has no frequencies, whatever the order of sums
    return _bits(lowest), _bits(lowest * MIRRORED)


def _bits(lowest: np.ndarray) -> int:
    ordered = np.sort(lowest, axis=None)
    median = (ordered[BITS // 2 - 1] + ordered[BITS // 2]) / 2
    return int.from_bytes(np.packbits(lowest > median).tobytes(), "big")


def copy_similarity(first: np.ndarray, second: np.ndarray, *, max_zoom: float) -> np.ndarray:
    """How alike pictures (m, s, s) uint8 and (m, s, s) uint8 are, (m,) float32 in [0, 1]; 1 for equal pictures.

    Zero-mean normalised cross-correlation, negative values as 0: brightness and contrast don't count. The best value is taken over
    zooms of either picture about its centre that leave out up to `max_zoom` of it, so that trimmed and bordered copies count too.
    A picture without any contrast resembles only an equal one.
    """
    if not 0 <= max_zoom < 1:
        raise ValueError(f"max_zoom {max_zoom} must be in [0, 1)")
    similarities = np.zeros(len(first), np.float32)
    every = zooms(first.shape[-1], max_zoom)
    for start in range(0, len(first), COMPARED):
        left, right = first[start : start + COMPARED].astype(np.float32), second[start : start + COMPARED].astype(np.float32)
        plain_left, plain_right = standardized(left), standardized(right)
        best = (plain_left * plain_right).sum(axis=1)
        for zoom in every:
            np.maximum(best, (standardized(zoom @ left @ zoom.T) * plain_right).sum(axis=1), out=best)
            np.maximum(best, (standardized(zoom @ right @ zoom.T) * plain_left).sum(axis=1), out=best)
        best[(left == right).all(axis=(1, 2))] = 1.0
        similarities[start : start + COMPARED] = np.clip(best, 0.0, 1.0)
    return similarities


def standardized(pictures: np.ndarray) -> np.ndarray:
    """Pictures (m, s, s) as rows (m, s * s) of mean 0 and length 1, so that products are correlations; zeros without contrast."""
    flat = pictures.reshape(len(pictures), pictures.shape[1] * pictures.shape[2])
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    enough = length > 1e-3 * flat.shape[1]
    scaled: np.ndarray = flat * np.where(enough, 1 / np.where(enough, length, 1), 0).astype(np.float32)
    return scaled


def zooms(side: int, max_zoom: float) -> list[np.ndarray]:
    """Matrices (side, side) that magnify one axis about its centre, by steps of a quarter of a pixel at the edge, bilinear."""
    matrices = []
    centres = (np.arange(side) + 0.5) / side * 2 - 1
    for step in range(1, int(2 * max_zoom * side + 1e-9) + 1):
        places = np.clip((centres * (1 - step / (2 * side)) + 1) / 2 * side - 0.5, 0, side - 1)
        lower = np.minimum(places.astype(np.int64), side - 2)
        share = (places - lower).astype(np.float32)
        matrix = np.zeros((side, side), np.float32)
        matrix[np.arange(side), lower] = 1 - share
        matrix[np.arange(side), lower + 1] += share
        matrices.append(matrix)
    return matrices
