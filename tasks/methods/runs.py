"""Keep a training run: everything that changes while it goes on, written to a checkpoint and taken over from one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.methods.checkpoints import load_tensors, save_tensors
from tasks.methods.objectives import Objective
from tasks.methods.optimizers import Optimizer

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


class DivergedError(ValueError):
    """Loss or gradient is no number, or too large; `keys` (b,) uint64 are those of the batch's rows."""

    def __init__(self, step: int, keys: np.ndarray, what: str, checkpoint: str) -> None:
        super().__init__(f"{what} at step {step}; last good checkpoint: {checkpoint}; lower learning_rate or set max_gradient_norm")
        self.step, self.keys = step, keys


@dataclass
class Run:
    """The state of a training: the learner, the average of its weights, the optimizer, what the objective remembers, and the curve.

    `losses` are those since the last point of the curve; `offsets` the logit adjustment, which stays.
    """

    learner: Any
    average: Any
    optimizer: Optimizer
    objective: Objective
    offsets: torch.Tensor
    step: int = 0
    saved: str = "none"
    losses: list[float] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)


def save(run: Run, checkpoint: Path, fingerprint: str) -> None:
    """Write the run as it stands."""
    tensors = {f"learner.{name}": value for name, value in run.learner.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in run.average.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in run.optimizer.tensors.items()}
    tensors |= {f"objective.{name}": value for name, value in run.objective.tensors.items()}
    save_tensors(checkpoint, tensors, {"fingerprint": fingerprint, "step": run.step, "losses": run.losses, "curve": run.curve})
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

    run.learner.load_state_dict(part("learner."))
    run.average.load_state_dict(part("average."))
    for kept, prefix in ((run.optimizer.tensors, "optimizer."), (run.objective.tensors, "objective.")):
        for name, value in part(prefix).items():
            kept[name].copy_(value)
    run.step, run.losses, run.curve = metadata["step"], metadata["losses"], metadata["curve"]
    run.saved = f"step {run.step} in {checkpoint}"
    log.info("going on from step %d of %s", run.step, checkpoint)


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
