"""Train a network: weights out of pictures, given concepts and sample weights, the same bytes for the same input.

Every random draw derives from the seed, the epoch or step, and the samples' keys. So a killed run that goes on from its checkpoint
ends, on a CPU, with the very weights of an undisturbed one.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.methods.augmentation import Augmentation
from tasks.methods.batches import Rows, batches
from tasks.methods.checkpoints import load_tensors, save_tensors
from tasks.methods.inference import autocast, deterministic
from tasks.methods.losses import cross_entropy, elr_memory, elr_term, logit_offsets
from tasks.methods.optimizers import Optimizer, build_optimizer, clip_gradients

if TYPE_CHECKING:
    import torch

SECONDS_BETWEEN_LINES = 10.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How to train.

    `samples_seen` is the budget, repeats included; `warmup` the share of it in which the learning rate rises; `ema_decay` 0 = no average
    of the weights; `max_gradient_norm` 0 = no clipping; `logit_adjustment` 0 = none, 1 = balanced softmax; `points` how often the curve
    is noted.
    """

    samples_seen: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    warmup: float
    ema_decay: float
    max_gradient_norm: float
    loss: str
    label_smoothing: float
    elr_momentum: float
    elr_strength: float
    logit_adjustment: float
    augmentation: Augmentation
    precision: str
    n_threads: int
    points: int
    checkpoint_steps: int

    @property
    def n_steps(self) -> int:
        return math.ceil(self.samples_seen / self.batch_size)


class DivergedError(ValueError):
    """Loss or gradient is no number; `places` are the batch's rows."""

    def __init__(self, step: int, places: np.ndarray, what: str, checkpoint: str) -> None:
        super().__init__(f"{what} at step {step}; last good checkpoint: {checkpoint}; lower learning_rate or set max_gradient_norm")
        self.step, self.places = step, places


@dataclass
class Run:
    """Everything that changes while training; what a checkpoint holds. `losses` are those since the last point of the curve."""

    network: torch.nn.Module
    average: torch.nn.Module
    optimizer: Optimizer
    memory: torch.Tensor
    offsets: torch.Tensor
    step: int = 0
    saved: str = "none"
    losses: list[float] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)


def train(
    network: torch.nn.Module,
    rows: Rows,
    *,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    fingerprint: str = "",
    validate: Callable[[torch.nn.Module], float] | None = None,
) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """The trained network (the average of its weights, if one is kept) and its curve: step, epoch, lr, loss, accuracy by `validate`.

    Goes on from `checkpoint` if that file carries this fingerprint. Raises DivergedError when loss or gradient is no number,
    ValueError for rows that can't be trained on.
    """
    import torch

    with deterministic(recipe.n_threads, device):
        run = start(network, rows, recipe, device)
        resume(run, checkpoint, fingerprint)
        report = _reporter(run.step, recipe)
        plan = {"batch_size": recipe.batch_size, "n_steps": recipe.n_steps, "first": run.step}
        for step, places, pixels in batches(rows, **plan, seed=seed, how=recipe.augmentation):
            torch.manual_seed(seed * 1_000_003 + step)  # for the networks that drop out units
            with autocast(recipe.precision, device):
                logits = run.network(pixels.to(device))
            loss = batch_loss(run, logits.float(), places, rows, recipe)
            run.network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = clip_gradients(list(run.network.parameters()), recipe.max_gradient_norm)
            if not math.isfinite(loss.item() + norm):
                raise DivergedError(step, places, f"loss is {loss.item():.4g} with gradient norm {norm:.4g}", run.saved)
            run.optimizer.step(learning_rate(step, recipe))
            update_average(run.average, run.network, step=step, decay=recipe.ema_decay)
            run.losses.append(loss.item())
            run.step += 1
            note(run, recipe, len(rows.keys), validate)
            save(run, recipe, checkpoint, fingerprint)
            report(run, len(rows.keys))
    return run.average.eval(), run.curve


def start(network: torch.nn.Module, rows: Rows, recipe: Recipe, device: str) -> Run:
    """A run before its first step. Raises ValueError for no rows, unknown classes, or weights that can't be used."""
    import torch

    n, n_classes = len(rows.classes), int(network.head.out_features)  # type: ignore[union-attr, arg-type]
    if not n or rows.classes.min() < 0 or rows.classes.max() >= n_classes:
        raise ValueError(f"{n} rows to train a head of {n_classes} on: pass at least one, with classes from 0 to {n_classes - 1}")
    if not np.isfinite(rows.weights).all() or rows.weights.min() < 0 or not rows.weights.any():
        raise ValueError("sample weights must be finite, not negative and not all 0: curate gives every kept row one")
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = build_optimizer(recipe.optimizer, list(network.parameters()), weight_decay=recipe.weight_decay)
    memory = torch.zeros((n, n_classes) if recipe.loss == "elr" else (0, n_classes), device=device)
    priors = np.bincount(rows.classes, rows.weights, minlength=n_classes)
    offsets = torch.from_numpy(logit_offsets(priors, strength=recipe.logit_adjustment)).float().to(device)
    return Run(network, copy.deepcopy(network), optimizer, memory, offsets)


def batch_loss(run: Run, logits: torch.Tensor, places: np.ndarray, rows: Rows, recipe: Recipe) -> torch.Tensor:
    """The weighted mean loss of a batch; ELR's memory of its rows is brought up to date."""
    import torch

    classes = torch.from_numpy(rows.classes[places]).to(logits.device)
    weights = torch.from_numpy(rows.weights[places]).to(logits.device)
    logits = logits + run.offsets
    losses = cross_entropy(logits, classes, label_smoothing=recipe.label_smoothing)
    if recipe.loss == "elr":
        where = torch.from_numpy(places).to(logits.device)
        first = torch.from_numpy(np.unique(places, return_index=True)[1]).to(logits.device)  # a row may stand twice where epochs meet
        run.memory[where[first]] = elr_memory(run.memory[where[first]], logits[first], momentum=recipe.elr_momentum)
        losses = losses + recipe.elr_strength * elr_term(logits, run.memory[where])
    return (weights * losses).mean()


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear rise over the share `warmup` of the steps, then half a cosine down to 0 (Loshchilov and Hutter 2017, eq. 5)."""
    rising = max(1, round(recipe.warmup * recipe.n_steps))
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, recipe.n_steps - rising)))


def update_average(average: torch.nn.Module, network: torch.nn.Module, *, step: int, decay: float) -> None:
    """Move the average towards the network; a young average forgets faster, so that the random start does not linger."""
    import torch

    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        current = network.state_dict()
        for name, value in average.state_dict().items():
            if decay and value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])


def note(run: Run, recipe: Recipe, n_rows: int, validate: Callable[[torch.nn.Module], float] | None) -> None:
    """Add a point to the curve when one is due: after every n_steps / points steps and at the end."""
    if run.step * recipe.points // recipe.n_steps == (run.step - 1) * recipe.points // recipe.n_steps:
        return
    point = {"step": run.step, "epoch": run.step * recipe.batch_size / n_rows, "lr": learning_rate(run.step - 1, recipe)}
    point["loss"] = float(np.mean(run.losses))
    if validate:
        point["accuracy"] = validate(run.average)
    run.losses.clear()
    run.curve.append(point)


def save(run: Run, recipe: Recipe, checkpoint: Path | None, fingerprint: str) -> None:
    """Write the run when a checkpoint is due."""
    if checkpoint is None or run.step % recipe.checkpoint_steps:
        return
    tensors = {f"network.{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in run.average.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in run.optimizer.tensors.items()}
    metadata = {"fingerprint": fingerprint, "step": run.step, "losses": run.losses, "curve": run.curve}
    save_tensors(checkpoint, {**tensors, "memory.": run.memory}, metadata)
    run.saved = f"step {run.step} in {checkpoint}"


def resume(run: Run, checkpoint: Path | None, fingerprint: str) -> None:
    """Take over the state of a checkpoint with this fingerprint; another's is left alone."""
    if checkpoint is None or not checkpoint.exists():
        return
    tensors, metadata = load_tensors(checkpoint)
    if metadata["fingerprint"] != fingerprint:
        log.info("the checkpoint in %s is of other data or params: starting again", checkpoint)
        return

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    run.network.load_state_dict(part("network."))
    run.average.load_state_dict(part("average."))
    for name, value in part("optimizer.").items():
        run.optimizer.tensors[name].copy_(value)
    run.memory.copy_(tensors["memory."])
    run.step, run.losses, run.curve = metadata["step"], metadata["losses"], metadata["curve"]
    run.saved = f"step {run.step} in {checkpoint}"
    log.info("going on from step %d of %s", run.step, checkpoint)


def _reporter(first: int, recipe: Recipe) -> Callable[[Run, int], None]:
    """A function that logs now and then how far the run is, how fast, and how long it will take."""
    began = last = time.monotonic()

    def report(run: Run, n_rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES and run.step < recipe.n_steps:
            return
        last, speed = now, (run.step - first) * recipe.batch_size / max(now - began, 1e-9)
        left = (recipe.n_steps - run.step) * recipe.batch_size / speed
        epoch = run.step * recipe.batch_size / n_rows
        log.info("step %d of %d, epoch %.1f: %.0f images/s, %.0f s left", run.step, recipe.n_steps, epoch, speed, left)

    return report
