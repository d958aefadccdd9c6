"""Run networks: probabilities and features of pictures, in a given precision, with equal bytes for equal input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.methods.batches import normalise

if TYPE_CHECKING:
    import torch

BATCH = 512  # pictures at a time; bounds memory


def predict(network: torch.nn.Module, pictures: np.ndarray, *, precision: str, device: str) -> np.ndarray:
    """Probabilities (n, k) float32 of pictures (n, side, side, 3) uint8, from the mean logits of each picture and its mirror image."""
    import torch

    logits = _run(network, network, pictures, precision, device)
    probabilities: np.ndarray = torch.from_numpy(logits).softmax(1).numpy()
    return probabilities


def extract_features(network: Any, pictures: np.ndarray, *, precision: str, device: str) -> np.ndarray:
    """Features (n, width) float32 below the head, the mean over each picture and its mirror image."""
    return _run(network, network.features, pictures, precision, device)


def _run(network: torch.nn.Module, function: Any, pictures: np.ndarray, precision: str, device: str) -> np.ndarray:
    import torch

    if not len(pictures):
        raise ValueError("no pictures to run the network on: pass at least one")
    network.eval()
    parts = []
    with torch.inference_mode(), autocast(precision, device):
        for start in range(0, len(pictures), BATCH):
            values = normalise(pictures[start : start + BATCH] / np.float32(255))
            pixels = torch.from_numpy(values).permute(0, 3, 1, 2).to(device)
            parts.append(((function(pixels).float() + function(pixels.flip(3)).float()) / 2).cpu())
    found: np.ndarray = torch.cat(parts).numpy()
    return found


def autocast(precision: str, device: str) -> Any:
    """bfloat16 arithmetic where `precision` is "bf16"; else plain float32."""
    import torch

    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def deterministic(n_threads: int, device: str) -> Iterator[None]:
    """Equal bytes for equal input: a fixed number of threads and, on CUDA, deterministic kernels; put back afterwards.

    The CPU's kernels are deterministic as they are; asking for it would import torch's compiler, three seconds per process.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    if device != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if device != "cpu":
            torch.use_deterministic_algorithms(False)
