"""Compare details: how alike the fine structure of two thumbnails is, and hashes of thumbnails without their margins.

Strangers often share a layout, light above and dark below, and seldom its details; text over a picture, a frame or a coarse JPEG change
the layout and leave most details. What was drawn over or around two pictures must not tell for them: the margin doesn't count, and each
detail counts by the contrast around it, so that a line of white text weighs no more than grass. Only pictures larger than their
thumbnails have details that tell.
"""

import numpy as np

from tasks.methods.perceptual import COMPARED, COSINES, SIDE, standardized, zooms

BLUR = 2  # thumbnail pixels to either side that a detail is measured against
INSIDE = 4  # thumbnail pixels from each edge to where details count: frames of a tenth, the corners of pictures turned by a few degrees
FAINT = 2.0  # grey levels of contrast below which details fade: the noise of a JPEG is no detail
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

    Layout is `copy_similarity` at its best zoom up to `max_zoom`, the better of the second as it is and mirrored. Details are the same
    correlation, as they fit best there, of what is left of each picture inside its margin when the mean over 5 x 5 pixels is taken away
    and the rest is divided by its contrast over 5 x 5 pixels.
    """
    layout, details = np.zeros(len(first), np.float32), np.zeros(len(first), np.float32)
    for start in range(0, len(first), COMPARED):
        part = slice(start, start + COMPARED)
        left, right = first[part].astype(np.float32), second[part].astype(np.float32)
        layout[part], one, other = _best_fit(left, right, max_zoom)
        details[part] = np.clip((standardized(_details(one)) * standardized(_details(other))).sum(axis=1), 0.0, 1.0)
    return layout, details


def _best_fit(left: np.ndarray, right: np.ndarray, max_zoom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best layout (m,) over zooms of either picture and a mirror, and both pictures (m, s, s) as they show it."""
    layout, one, other = np.zeros(len(left), np.float32), left.copy(), right.copy()
    every = zooms(left.shape[-1], max_zoom)
    for mirrored in (right, right[:, :, ::-1]):
        _keep_better(layout, one, other, left, mirrored)
        for zoom in every:
            _keep_better(layout, one, other, zoom @ left @ zoom.T, mirrored)
            _keep_better(layout, one, other, left, zoom @ mirrored @ zoom.T)
    return np.minimum(layout, 1.0), one, other


def _keep_better(layout: np.ndarray, one: np.ndarray, other: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Take `left` and `right`, and their similarity as `layout`, wherever they fit better than what was kept before."""
    similarity = (standardized(left) * standardized(right)).sum(axis=1)
    better = np.flatnonzero(similarity > layout)
    layout[better], one[better], other[better] = similarity[better], left[better], right[better]


def _details(pictures: np.ndarray) -> np.ndarray:
    """Pictures (m, s, s) without their margin, less their mean over the pixels around, by their contrast there."""
    inside = pictures[:, INSIDE:-INSIDE, INSIDE:-INSIDE]
    fine = inside - _mean_around(inside)
    scaled: np.ndarray = (fine / np.sqrt(_mean_around(fine * fine) + FAINT**2)).astype(np.float32)
    return scaled


def _mean_around(pictures: np.ndarray) -> np.ndarray:
    """The mean (m, s, s) over the 5 x 5 pixels around each; edges go on."""
    width = 2 * BLUR + 1
    sums = np.pad(pictures, ((0, 0), (BLUR, BLUR), (BLUR, BLUR)), mode="edge").astype(np.float64).cumsum(axis=1).cumsum(axis=2)
    sums = np.pad(sums, ((0, 0), (1, 0), (1, 0)))
    means: np.ndarray = (
        sums[:, width:, width:] - sums[:, :-width, width:] - sums[:, width:, :-width] + sums[:, :-width, :-width]
    ) / width**2
    return means
