"""Complete texts: give pictures without a usable text that of a picture like them, the one that fits them best.

Image-text pairs are worth what their texts are; a picture whose own says nothing is lost to contrastive training, though its visual
neighbours of the same concept were described by others (the enhancement of CAPro, section 3.3, taken as a choice instead of a mean).
"""

from __future__ import annotations

import numpy as np


def choose_donors(
    images: np.ndarray,
    texts: np.ndarray,
    usable: np.ndarray,
    neighbors: np.ndarray,
    concepts: np.ndarray,
    groups: np.ndarray,
    *,
    least_quantile: float,
) -> np.ndarray:
    """(n,) int64: the row whose text each row takes; itself where its own is usable, -1 where no neighbour's fits.

    images and texts (n, d) of unit length or zero; usable (n,) bool; neighbors (n, m) int64 row numbers, -1 = none; concepts (n,) int, -1 =
    none, which is no one's like; groups (n,) int: copies share one and give each other nothing new. A neighbour of the same concept lends
    its text where image and text lie as near to each other as in the lowest `least_quantile` of usable pairs; the nearest text is taken.
    Raises ValueError for a quantile outside [0, 1].
    """
    if not 0 <= least_quantile <= 1:
        raise ValueError(f"least_quantile {least_quantile} is a share of the usable pairs: give a number from 0 to 1")
    n = len(images)
    donors = np.where(usable, np.arange(n), -1)
    if not usable.any():
        return donors
    least = float(np.quantile((images[usable] * texts[usable]).sum(1), least_quantile))
    waiting = np.flatnonzero(~usable)
    best = np.full(len(waiting), -np.inf)
    for column in range(neighbors.shape[1]):
        near = neighbors[waiting, column]
        there = np.maximum(near, 0)
        alike = (concepts[there] == concepts[waiting]) & (concepts[waiting] >= 0) & (groups[there] != groups[waiting])
        fit = np.where((near >= 0) & usable[there] & alike, (images[waiting] * texts[there]).sum(1), -np.inf)
        better = (fit > best) & (fit >= least)
        best = np.where(better, fit, best)
        donors[waiting[better]] = there[better]
    return donors
