"""Make batches: shuffled, varied and normalised pixels out of pictures, each step's batch the same however one got there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.methods.augmentation import Augmentation, augment, uniform

if TYPE_CHECKING:
    import torch

# Mean and spread of natural photographs per channel, pixels in [0, 1]; stored beside the weights.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_SPREAD = (0.229, 0.224, 0.225)
ORDER_STREAM = 99  # apart from the streams that `augment` draws from
VIEW_SEEDS = 2**40  # added to the seed for a picture's second view: no run's own seed is as large


@dataclass(frozen=True)
class Rows:
    """What is trained on. pictures (n, side, side, 3) uint8, in memory or mapped from disk; classes (n,) int64 in [0, k);
    weights (n,) float32, mean 1; keys (n,) uint64, a hash of each sample's id; targets (n, k) float32: a teacher's probabilities, for the
    loss that learns from one."""

    pictures: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    keys: np.ndarray
    targets: np.ndarray | None = None


def batches(
    rows: Rows,
    *,
    batch_size: int,
    n_steps: int,
    first: int,
    seed: int,
    how: Augmentation,
    mine: np.ndarray | None = None,
    views: int = 1,
) -> Iterator[tuple[int, np.ndarray, torch.Tensor]]:
    """(step, places (b,) int64, pixels (b * views, 3, side, side) float32) of the steps `first` to n_steps - 1.

    The epochs follow each other without a gap: every batch is full, every row is seen once an epoch. The next batch is made while
    this one is used. With `mine`, positions in the batch, only their pixels are made. The views of a picture, each varied for itself,
    follow each other.
    """
    import torch

    if first >= n_steps:
        return
    orders: dict[int, np.ndarray] = {}

    def make(step: int) -> tuple[np.ndarray, np.ndarray]:
        places, epochs = _places(rows.keys, step, batch_size, seed, orders)
        own = slice(None) if mine is None else mine
        pictures, keys, seen = rows.pictures[places[own]], rows.keys[places[own]], epochs[own]
        varied = [augment(pictures, keys, seen, seed=seed + view * VIEW_SEEDS, how=how) for view in range(views)]
        return places, normalise(varied[0] if views == 1 else np.stack(varied, 1).reshape(-1, *pictures.shape[1:]))

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead:
        upcoming = ahead.submit(make, first)
        for step in range(first, n_steps):
            places, pixels = upcoming.result()
            if step + 1 < n_steps:
                upcoming = ahead.submit(make, step + 1)
            yield step, places, torch.from_numpy(pixels).permute(0, 3, 1, 2)


def normalise(pictures: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1] to about zero mean and unit spread per channel, float32."""
    mean, spread = np.array(PIXEL_MEAN, np.float32), np.array(PIXEL_SPREAD, np.float32)
    normalised: np.ndarray = (pictures - mean) / spread
    return normalised


def _places(keys: np.ndarray, step: int, batch_size: int, seed: int, orders: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a step and the epoch that each is seen in; `orders` keeps the shuffles of the epochs in use."""
    epochs, within = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(keys))
    for old in [epoch for epoch in orders if epoch < epochs[0]]:
        del orders[old]
    places = np.empty(batch_size, np.int64)
    for epoch in range(epochs[0], epochs[-1] + 1):
        if epoch not in orders:
            orders[epoch] = np.argsort(uniform(keys, seed, epoch, ORDER_STREAM), kind="stable")
        places[epochs == epoch] = orders[epoch][within[epochs == epoch]]
    return places, epochs
