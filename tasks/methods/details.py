"""Compare details: how alike the fine structure of two thumbnails is, and hashes of thumbnails without their margins.

Strangers often share a layout, light above and dark below, and seldom its details; text over a picture, a frame or a coarse JPEG change
the layout and leave most details. Only pictures larger than their thumbnails have details that tell.
"""

import numpy as np

from tasks.methods.perceptual import COMPARED, COSINES, SIDE, standardized, zooms

BLUR = 2  # thumbnail pixels to either side that a detail is measured against
MARGINS = (1.25, 2.0, 2.75)  # thumbnail pixels: frames of 4 to 10 % of a side, and what cropping the centre to 83 to 92 % takes away


def marginless_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """pHashes (m, 3) uint64 of thumbnails (m, 32, 32) uint8 without each of MARGINS all around: those of a framed picture are its own."""
    hashes = np.zeros((len(thumbnails), len(MARGINS)), np.uint64)
    every = zooms(SIDE, max(MARGINS) / (SIDE / 2))
    for start in range(0, len(thumbnails), COMPARED):
        grey = thumbnails[start : start + COMPARED].astype(np.float64)
        for place, margin in enumerate(MARGINS):
            zoom = every[round(margin * 4) - 1].astype(np.float64)
            lowest = (COSINES @ (zoom @ grey @ zoom.T) @ COSINES.T).round(6).reshape(len(grey), -1)
            bits = np.packbits(lowest > np.median(lowest, axis=1, keepdims=True), axis=1)
            hashes[start : start + COMPARED, place] = bits.view(">u8")[:, 0]
    return hashes


def detail_similarity(first: np.ndarray, second: np.ndarray, *, max_zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """How alike pictures (m, s, s) and (m, s, s) uint8 are in layout and in details, (m,) float32 each, in [0, 1], 1 for equal ones.

    Layout is `copy_similarity` at its best zoom up to `max_zoom`; details are the same correlation, at that zoom, of what is left of each
    picture when its mean over 5 x 5 pixels is taken away. The better layout of the second as it is and mirrored.
    """
    layout, details = np.zeros(len(first), np.float32), np.zeros(len(first), np.float32)
    for start in range(0, len(first), COMPARED):
        part = slice(start, start + COMPARED)
        left, right = first[part].astype(np.float32), second[part].astype(np.float32)
        for other in (right, right[:, :, ::-1]):
            _keep_better(layout[part], details[part], left, other, max_zoom)
    return layout, details


def _keep_better(layout: np.ndarray, details: np.ndarray, left: np.ndarray, right: np.ndarray, max_zoom: float) -> None:
    """Raise `layout`, and set `details` with it, wherever some zoom of either picture fits better than what was found before."""
    shown = [(left, right)]
    for zoom in zooms(left.shape[-1], max_zoom):
        shown += [(zoom @ left @ zoom.T, right), (left, zoom @ right @ zoom.T)]
    for one, other in shown:
        similarity = (standardized(one) * standardized(other)).sum(axis=1)
        better = np.flatnonzero(similarity > layout)
        layout[better] = np.minimum(similarity[better], 1.0)
        fine = standardized(_details(one[better])) * standardized(_details(other[better]))
        details[better] = np.clip(fine.sum(axis=1), 0.0, 1.0)


def _details(pictures: np.ndarray) -> np.ndarray:
    """Pictures (m, s, s) less their mean over the pixels around."""
    width = 2 * BLUR + 1
    sums = np.pad(pictures, ((0, 0), (BLUR, BLUR), (BLUR, BLUR)), mode="edge").astype(np.float64).cumsum(axis=1).cumsum(axis=2)
    sums = np.pad(sums, ((0, 0), (1, 0), (1, 0)))
    means = (sums[:, width:, width:] - sums[:, :-width, width:] - sums[:, width:, :-width] + sums[:, :-width, :-width]) / width**2
    fine: np.ndarray = (pictures - means).astype(np.float32)
    return fine
