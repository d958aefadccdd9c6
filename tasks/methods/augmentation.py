"""Vary pictures: cropped, shifted, mirrored, recoloured and partly covered copies, drawn from each sample's key and the epoch.

The draws of a sample depend on (seed, key, epoch) alone, so a resumed run, another batch size or another order of the rows sees the
same pictures.
"""

from dataclasses import dataclass

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
CROP_STREAMS, GREY_STREAM = ((10, 11), (12, 13)), 14  # sizes and places of crops; beside the streams 0 to 9 below


@dataclass(frozen=True)
class Augmentation:
    """max_shift: pixels a picture is moved by at most; mirror: half are mirrored; colour: largest relative change of brightness, contrast
    and each channel; cutout: side of the covered square in pixels, 0 = none; min_crop: least share of height and of width that a crop
    shows, 1 = the whole; grey: share of the pictures that lose their colours."""

    max_shift: int
    mirror: bool
    colour: float
    cutout: int
    min_crop: float = 1.0
    grey: float = 0.0


def uniform(keys: np.ndarray, *salts: int | np.ndarray) -> np.ndarray:
    """(n,) float64 in [0, 1), a hash (splitmix64) of each key and the salts."""
    with np.errstate(over="ignore"):
        state = np.asarray(keys, np.uint64)
        for salt in salts:
            state = _mix(state + GOLDEN * (np.asarray(salt, np.uint64) + np.uint64(1)))
        state = _mix(state + GOLDEN)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def augment(pictures: np.ndarray, keys: np.ndarray, epochs: np.ndarray, *, seed: int, how: Augmentation) -> np.ndarray:
    """pictures (n, side, side, 3) uint8; keys (n,) uint64; epochs (n,) int -> (n, side, side, 3) float32, about [0, 1].

    What comes in from outside the frame is reflected; a covered square is mean grey.
    """
    n, side = pictures.shape[:2]
    draws = [uniform(keys, seed, epochs, stream) for stream in range(10)]
    steps = np.arange(side)
    if how.min_crop < 1:
        sizes, places = (np.stack([uniform(keys, seed, epochs, stream) for stream in streams], 1) for streams in CROP_STREAMS)
        pictures = _cropped(pictures, how.min_crop + (1 - how.min_crop) * sizes, places)
    down, right = (np.floor(draw * (2 * how.max_shift + 1)).astype(int) - how.max_shift for draw in draws[:2])
    mirrored = (draws[2] < 0.5) & how.mirror
    columns = _reflect(np.where(mirrored[:, None], steps[::-1], steps) + right[:, None], side)
    rows = _reflect(steps + down[:, None], side)
    varied: np.ndarray = pictures[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float32) * np.float32(
        1 / 255
    )
    if how.colour:
        varied = _recolour(varied, 1 + how.colour * (2 * np.stack(draws[3:8], 1) - 1).astype(np.float32))
    if how.grey:
        grey = uniform(keys, seed, epochs, GREY_STREAM) < how.grey
        varied[grey] = varied[grey].mean(3, keepdims=True)
    if how.cutout:
        top, left = (np.floor(draw * side).astype(int) - how.cutout // 2 for draw in draws[8:])
        inside = [(steps >= edge[:, None]) & (steps < edge[:, None] + how.cutout) for edge in (top, left)]
        varied[inside[0][:, :, None] & inside[1][:, None, :]] = 0.5
    return varied


def _cropped(pictures: np.ndarray, sizes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Parts of the pictures, brought to the whole frame between neighbouring pixels; float32.

    sizes (n, 2): shares of height and width; places (n, 2) in [0, 1]: 0 = at the upper or left edge.
    """
    n, side = pictures.shape[:2]
    cropped = pictures.astype(np.float32)
    for axis in range(2):
        start = places[:, axis] * (1 - sizes[:, axis]) * side
        along = np.clip(start[:, None] + (np.arange(side) + 0.5) * sizes[:, axis, None] - 0.5, 0, side - 1)
        low = np.floor(along).astype(int)
        part = (along - low).astype(np.float32)[:, :, None, None]
        first, second = (cropped[np.arange(n)[:, None], where] for where in (low, np.minimum(low + 1, side - 1)))
        cropped = (first + part * (second - first)).swapaxes(1, 2)
    return cropped


def _recolour(pictures: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """factors (n, 5): of the mean brightness, of the contrast about it, and of the three channels."""
    brightness, contrast, channels = factors[:, 0, None, None, None], factors[:, 1, None, None, None], factors[:, None, None, 2:]
    middle = pictures.mean((1, 2, 3), keepdims=True)
    recoloured: np.ndarray = ((pictures - middle) * contrast + middle * brightness) * channels
    return recoloured


def _reflect(places: np.ndarray, side: int) -> np.ndarray:
    reflected: np.ndarray = side - 1 - np.abs(side - 1 - np.abs(places))
    return reflected


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed
