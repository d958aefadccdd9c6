"""Train a network: weights out of pictures, given concepts and sample weights, the same bytes for the same input.

Every random draw derives from the seed, the epoch or step, and the samples' keys. So a killed run that goes on from its checkpoint
ends, on a CPU, with the very weights of an undisturbed one.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.methods.augmentation import Augmentation
from tasks.methods.batches import Rows, batches
from tasks.methods.distribution import World, gathered, sum_gradients, synchronise_norms
from tasks.methods.inference import autocast, deterministic, extract_features
from tasks.methods.learners import build_learner, candidate_sizes, feature_width, keep_features, n_classes
from tasks.methods.loss_settings import CoTeaching
from tasks.methods.losses import logit_offsets
from tasks.methods.mixing import blend
from tasks.methods.objectives import Batch, Output, Task, build_objective
from tasks.methods.optimizers import build_optimizer, clip_gradients
from tasks.methods.runs import DivergedError, Run, resume, save, update_average
from tasks.methods.step_settings import StepSettings

if TYPE_CHECKING:
    import torch

SECONDS_BETWEEN_LINES = 10.0
Validate = Callable[["torch.nn.Module"], float]
Noted = Callable[[dict[str, float]], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How to train.

    `samples_seen` is the budget, repeats included; `accumulate` the parts that a batch is cut into, for less memory; `warmup` the share
    of the budget in which the learning rate rises; `ema_decay` 0 = no average of the weights; `max_gradient_norm` 0 = no clipping;
    `max_loss` is divergence; `logit_adjustment` 0 = none, 1 = balanced softmax; `points` how often the curve is noted.
    """

    samples_seen: int
    batch_size: int
    accumulate: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    warmup: float
    ema_decay: float
    max_gradient_norm: float
    max_loss: float
    loss: StepSettings
    logit_adjustment: float
    augmentation: Augmentation
    precision: str
    n_threads: int
    points: int
    checkpoint_steps: int

    @property
    def n_steps(self) -> int:
        return math.ceil(self.samples_seen / self.batch_size)


def train(
    network: torch.nn.Module,
    rows: Rows,
    *,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    partner: torch.nn.Module | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    validate: Validate | None = None,
    noted: Noted | None = None,
    world: World | None = None,
) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """The trained network (the average of its weights, if one is kept) and its curve: step, epoch, lr, loss, accuracy by `validate`.

    `partner` is the second network, for losses of two; `noted` is told every point of the curve. Goes on from `checkpoint` if that file
    carries this fingerprint. Raises DivergedError when loss or gradient is no number or too large, ValueError for rows that can't be
    trained on.
    """
    import torch

    world = world or World()
    with deterministic(recipe.n_threads, device):
        run = start(network, partner, rows, recipe, seed, device, world)
        resume(run, checkpoint, fingerprint)
        report = _reporter(run.step, recipe)
        parameters, mine = list(run.learner.parameters()), _own_places(recipe, world)
        plan: dict[str, Any] = {"batch_size": recipe.batch_size, "n_steps": recipe.n_steps, "first": run.step, "mine": mine}
        plan["views"] = run.objective.views
        for step, places, pixels in batches(rows, **plan, seed=seed, how=recipe.augmentation):
            torch.manual_seed(seed * 1_000_003 + step)  # for the networks that drop out units
            run.learner.zero_grad(set_to_none=True)
            value = 0.0
            for batch, own in _pieces(rows, places, pixels, step, seed, recipe, device):
                loss = run.objective.loss(batch, Forward(run, own, recipe, device, world)) / recipe.accumulate
                loss.backward()  # type: ignore[no-untyped-call]
                value += loss.item()
            sum_gradients(parameters, world)
            norm = clip_gradients(parameters, recipe.max_gradient_norm)
            if not math.isfinite(value + norm) or abs(value) > recipe.max_loss:
                raise DivergedError(step, rows.keys[places], f"loss is {value:.4g} with gradient norm {norm:.4g}", run.saved)
            run.optimizer.step(learning_rate(step, recipe))
            update_average(run.average, run.learner, step=step, decay=recipe.ema_decay)
            run.losses.append(value)
            run.step += 1
            note(run, recipe, len(rows.keys), validate, noted)
            if checkpoint is not None and run.step % recipe.checkpoint_steps == 0 and world.rank == 0:
                save(run, checkpoint, fingerprint)
            report(run, len(rows.keys))
        trained = finish(run.average.networks[0], recipe, validate)
    return trained, run.curve


class Forward:
    """What the run's networks say about a batch, of which this process holds some pixels; see objectives.Forward."""

    def __init__(self, run: Run, pixels: torch.Tensor, recipe: Recipe, device: str, world: World) -> None:
        self._run, self._pixels, self._recipe, self._device, self._world = run, pixels, recipe, device, world

    def __call__(
        self, network: int = 0, *, averaged: bool = False, own: float = 1.0, mask: np.ndarray | None = None, features: bool = False
    ) -> Output:
        import torch

        module = self._run.average.eval() if averaged else self._run.learner
        factors = None if mask is None else torch.from_numpy(mask[self._world.part(len(mask))]).to(self._device)
        with torch.set_grad_enabled(not averaged), autocast(self._recipe.precision, self._device):
            logits, projected, below = module(network, blend(self._pixels, own), factors)
        logits = gathered(logits.float(), self._world) + self._run.offsets
        projected = None if projected is None else gathered(projected, self._world)
        return Output(logits, projected, gathered(below.float(), self._world) if features else None)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        with autocast(self._recipe.precision, self._device):
            logits = self._run.learner.networks[0].head(features[self._world.part(len(features))])
        return gathered(logits.float(), self._world) + self._run.offsets


def start(
    network: torch.nn.Module, partner: torch.nn.Module | None, rows: Rows, recipe: Recipe, seed: int, device: str, world: World
) -> Run:
    """A run before its first step. Raises ValueError for no rows, unknown classes, or weights, batches and losses that can't be used."""
    import torch

    n, k = len(rows.classes), n_classes(network)
    if not n or rows.classes.min() < 0 or rows.classes.max() >= k:
        raise ValueError(f"{n} rows to train a head of {k} on: pass at least one, with classes from 0 to {k - 1}")
    if not np.isfinite(rows.weights).all() or rows.weights.min() < 0 or not rows.weights.any():
        raise ValueError("sample weights must be finite, not negative and not all 0: curate gives every kept row one")
    if recipe.batch_size % recipe.accumulate:
        raise ValueError(f"batch_size {recipe.batch_size} can't be cut into {recipe.accumulate} parts (accumulate): make it a multiple")
    features = partial(extract_features, network.to(device), rows.pictures, precision=recipe.precision, device=device)
    objective = build_objective(recipe.loss, Task(n, k, feature_width(network), rows.classes, device, rows.targets, features))
    if objective.n_networks == 2 and partner is None:
        raise ValueError(f"loss {recipe.loss.method} trains two networks: pass another one as `partner`")
    networks = [network, partner][: objective.n_networks]
    learner = build_learner(networks, projection=objective.projection, seed=seed).to(device, memory_format=torch.channels_last).train()  # type: ignore[arg-type]
    optimizer = build_optimizer(recipe.optimizer, list(learner.parameters()), weight_decay=recipe.weight_decay)
    priors = np.bincount(rows.classes, rows.weights, minlength=k)
    offsets = torch.from_numpy(logit_offsets(priors, strength=recipe.logit_adjustment)).float().to(device)
    average = copy.deepcopy(learner)
    synchronise_norms(learner, world)
    return Run(learner, average, optimizer, objective, offsets)


def finish(network: torch.nn.Module, recipe: Recipe, validate: Validate | None) -> torch.nn.Module:
    """The network as it is kept: after nested dropout with the fewest features that validate best, where there is something to try on."""
    if isinstance(recipe.loss, CoTeaching) and recipe.loss.nested_spread and validate:
        found = {}
        for size in candidate_sizes(feature_width(network)):
            cut = copy.deepcopy(network)
            keep_features(cut, size)
            found[size] = validate(cut)
        best = max(found, key=lambda size: (found[size], -size))
        log.info("nested dropout keeps %d of %d features", best, feature_width(network))
        keep_features(network, best)
    return network.eval()


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear rise over the share `warmup` of the steps, then half a cosine down to 0 (Loshchilov and Hutter 2017, eq. 5)."""
    rising = max(1, round(recipe.warmup * recipe.n_steps))
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, recipe.n_steps - rising)))


def note(run: Run, recipe: Recipe, n_rows: int, validate: Validate | None, noted: Noted | None) -> None:
    """Add a point to the curve when one is due: after every n_steps / points steps and at the end."""
    if run.step * recipe.points // recipe.n_steps == (run.step - 1) * recipe.points // recipe.n_steps:
        return
    point = {"step": run.step, "epoch": run.step * recipe.batch_size / n_rows, "lr": learning_rate(run.step - 1, recipe)}
    point["loss"] = float(np.mean(run.losses))
    if validate:
        point["accuracy"] = validate(run.average.networks[0])
    run.losses.clear()
    run.curve.append(point)
    if noted:
        noted(point)


def _own_places(recipe: Recipe, world: World) -> np.ndarray:
    """Positions in a batch whose pixels this process makes: its part of every piece."""
    pieces = np.arange(recipe.batch_size).reshape(recipe.accumulate, -1)
    found: np.ndarray = pieces[:, world.part(pieces.shape[1])].ravel()
    return found


def _pieces(
    rows: Rows, places: np.ndarray, pixels: torch.Tensor, step: int, seed: int, recipe: Recipe, device: str
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """The pieces of a step's batch, each with this process' pixels of it."""
    import torch

    before, n = step * recipe.batch_size, len(rows.keys)
    begins = step == 0 or before // n > (before - recipe.batch_size) // n
    generator = np.random.default_rng([seed, step])
    chunks = zip(np.split(places, recipe.accumulate), pixels.chunk(recipe.accumulate), strict=True)
    for number, (piece, own) in enumerate(chunks):
        where, given, weights = (torch.from_numpy(values).to(device) for values in (piece, rows.classes[piece], rows.weights[piece]))
        yield Batch(where, given, weights, before / n, begins and number == 0, generator), own.to(device)


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
