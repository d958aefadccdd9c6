"""Train small networks on pixels: out-of-fold concepts, words and features of every image out of noisy targets.

An image is judged only by a network that never saw it, nor a copy of it: a network that saw a wrong label vouches for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.methods.inference import deterministic
from tasks.methods.small_network import WHITENING_ROWS, build_network, to_tensor, whitening

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NetworkSettings:
    """How one network is built and trained.

    `widths` are the channels of the four levels (`small_network.build_network`); `max_shift` the pixels by which a training image is
    moved; `word_weight` the share of the loss that belongs to the words; `precision` the arithmetic of the forward pass.
    """

    n_epochs: int
    widths: tuple[int, ...]
    batch_size: int
    learning_rate: float
    weight_decay: float
    word_weight: float
    max_shift: int
    precision: str
    n_threads: int
    device: str


@dataclass(frozen=True)
class FoldOutput:
    """What one network says of the rows it never saw.

    rows (m,) int64: their positions; log_probs (m, n_targets) float32; word_probs (m, n_words) float32; features (m, width) float32.
    """

    rows: np.ndarray
    log_probs: np.ndarray
    word_probs: np.ndarray
    features: np.ndarray


def out_of_fold_outputs(
    images: np.ndarray,
    targets: np.ndarray,
    words: np.ndarray,
    folds: np.ndarray,
    *,
    settings: NetworkSettings,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> list[FoldOutput]:
    """Train one network per fold on the rows of the other folds and let it judge its own.

    images (n, side, side, 3) uint8; targets (n, n_targets) float32, rows sum to 1, or to 0 where nothing is known; words
    (n, n_words) float32, likewise; folds (n,) int, -1 = in no training set, judged by every network (rows of the test split).
    Raises ValueError where no fold would have two training rows.
    """
    names = np.unique(folds[folds >= 0])
    outputs = []
    with deterministic(settings.n_threads, settings.device):
        for fold in names:
            known = (targets.sum(1) > 0) | (words.sum(1) > 0)
            train = np.flatnonzero((folds >= 0) & (folds != fold) & known)
            if len(train) < 2:
                raise ValueError(f"fold {fold} leaves {len(train)} rows to train on: give more rows or use predictor 'probe'")
            network = fit_network(images, targets, words, train, settings=settings, seed=seed + int(fold), progress=progress)
            outputs.append(judge(network, images, np.flatnonzero((folds == fold) | (folds < 0)), settings))
    return outputs


def fit_network(
    images: np.ndarray,
    targets: np.ndarray,
    words: np.ndarray,
    train: np.ndarray,
    *,
    settings: NetworkSettings,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> Any:
    """Train one network on the rows `train`; stochastic gradient with momentum, one rise and fall of the learning rate."""
    import torch

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    filters = whitening(images[train[torch.randperm(len(train), generator=generator)[:WHITENING_ROWS].numpy()]], settings.widths[0])
    network = build_network(settings.widths, filters, targets.shape[1], words.shape[1]).to(memory_format=torch.channels_last)
    network = network.to(settings.device)
    n_steps = max(1, len(train) // settings.batch_size) * settings.n_epochs
    learned = [p for p in network.parameters() if p.requires_grad]
    decayed, plain = [p for p in learned if p.ndim > 1], [p for p in learned if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rise_and_fall(step, n_steps))
    network.train()
    for epoch in range(settings.n_epochs):
        for rows in batches(train, settings.batch_size, generator):
            pixels = augment(to_tensor(images[rows]), settings.max_shift, generator)
            loss = batch_loss(network, pixels, targets[rows], words[rows], settings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        if progress:
            progress(epoch)
    return network


def rise_and_fall(step: int, n_steps: int) -> float:
    """Share of the learning rate at a step: up in a straight line over the first quarter, then down to nothing."""
    peak = max(1, n_steps // 4)
    return max(0.0, min((step + 1) / peak, (n_steps - step) / max(1, n_steps - peak)))


def batch_loss(network: Any, pixels: torch.Tensor, targets: np.ndarray, words: np.ndarray, settings: NetworkSettings) -> torch.Tensor:
    """Cross-entropy with the targets, plus the words' where there are any; means over the rows of the batch."""
    import torch

    place = settings.device
    with autocast(settings):
        logits, word_logits, _ = network(pixels.to(place))
    loss: torch.Tensor = -(torch.from_numpy(targets).to(place) * logits.float().log_softmax(1)).sum(1).mean()
    if words.shape[1]:
        loss = loss - settings.word_weight * (torch.from_numpy(words).to(place) * word_logits.float().log_softmax(1)).sum(1).mean()
    return loss


def judge(network: Any, images: np.ndarray, rows: np.ndarray, settings: NetworkSettings) -> FoldOutput:
    """Outputs for the rows, the mean over each image and its mirror image."""
    import torch

    network.eval()
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with torch.inference_mode(), autocast(settings):
        for start in range(0, len(rows), 512):
            pixels = to_tensor(images[rows[start : start + 512]]).to(settings.device)
            seen = [network(view) for view in (pixels, pixels.flip(3))]
            logits, words, features = ((a.float() + b.float()) / 2 for a, b in zip(*seen, strict=True))
            parts.append((logits.log_softmax(1).cpu().numpy(), words.softmax(1).cpu().numpy(), features.cpu().numpy()))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return FoldOutput(rows, *columns)


def batches(rows: np.ndarray, batch_size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """The rows once, shuffled; a last batch that is not full is left out unless it is the only one."""
    import torch

    order = rows[torch.randperm(len(rows), generator=generator).numpy()]
    for start in range(0, max(1, len(order) // batch_size) * batch_size, batch_size):
        yield order[start : start + batch_size]


def augment(pixels: torch.Tensor, max_shift: int, generator: torch.Generator) -> torch.Tensor:
    """Each image mirrored or not and moved by up to `max_shift` pixels; what comes in from outside is reflected."""
    import torch

    m, _, side, _ = pixels.shape
    padded = torch.nn.functional.pad(pixels, [max_shift] * 4, mode="reflect")
    down, right = torch.randint(0, 2 * max_shift + 1, (2, m), generator=generator)
    mirrored = torch.rand(m, generator=generator) < 0.5
    steps = torch.arange(side)
    columns = torch.where(mirrored[:, None], steps.flip(0), steps) + right[:, None]
    moved = padded.permute(0, 2, 3, 1)[torch.arange(m)[:, None, None], (steps + down[:, None])[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def autocast(settings: NetworkSettings) -> Any:
    """bfloat16 arithmetic where `precision` is "bf16"; else plain float32."""
    import torch

    return torch.autocast(settings.device.split(":")[0], torch.bfloat16, enabled=settings.precision == "bf16")
