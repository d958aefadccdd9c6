"""Train in steps: a start without labels, the rows' own training, a student of the result; or a teacher, then its student; or at once.

The first are SimCLRv2's three (Chen et al. 2020b): contrast on pictures without labels; fine-tuning from the first layer of the head,
which the backbone keeps (`+layer`); distillation into a fresh backbone on the pictures without labels.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.methods.backbones import LAYER, build_network
from tasks.methods.batches import Rows
from tasks.methods.checkpoints import load_tensors, save_tensors
from tasks.methods.distribution import World, wait_for_all
from tasks.methods.inference import deterministic, predict
from tasks.methods.step_settings import Distillation
from tasks.methods.training import Noted, Recipe, Validate, train

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint.safetensors"
STARTED, TAUGHT = "start.safetensors", "teacher.safetensors"
PARTNER_SEED = 1_000_003  # added to the seed for the second network of losses that train two
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Pictures whose classes are not looked at, how to contrast them, and how to distil on them; None = no third step."""

    rows: Rows
    recipe: Recipe
    distil: Recipe | None


@dataclass(frozen=True)
class Teacher:
    """Rows for a teacher to learn, and how; the rows of the run, fewer as a rule, are learnt from it by `loss`."""

    rows: Rows
    recipe: Recipe
    loss: Distillation


@dataclass(frozen=True)
class Plan:
    """What a run in `folder` is made with: backbone, number of concepts, and the rest as `train` takes it."""

    backbone: str
    n_concepts: int
    folder: Path
    fingerprint: str
    seed: int
    device: str
    world: World
    validate: Validate | None
    noted: Noted | None

    def network(self, backbone: str, rows: Rows, *, more: int = 0) -> torch.nn.Module:
        """A fresh network, to learn these rows; `more` is added to the seed."""
        return build_network(backbone, self.n_concepts, seed=self.seed + more, pictures=rows.pictures)

    def train(self, network: torch.nn.Module, rows: Rows, recipe: Recipe, *, step: str = "", **others: Any) -> tuple[Any, Any]:
        """`train` with this plan. `step` names one that others follow: its curve is noted nowhere, no other goes on from its checkpoint."""
        how: dict[str, Any] = {"checkpoint": self.folder / CHECKPOINT, "fingerprint": self.fingerprint + step, "device": self.device}
        how |= {"validate": None if step == STARTED else self.validate, "noted": None if step else self.noted}
        return train(network, rows, recipe=recipe, seed=self.seed, world=self.world, **how, **others)


def train_in_steps(
    rows: Rows, recipe: Recipe, start: Start | Teacher | None, plan: Plan
) -> tuple[str, torch.nn.Module, list[dict[str, float]]]:
    """The backbone's name, the trained network and the curve of its last step. Raises what `train` raises.

    A killed run goes on in the step that it was in: what the steps before came to lies in the folder.
    """
    if start is None:
        pair = [plan.network(plan.backbone, rows, more=more) for more in (0, PARTNER_SEED)]
        return plan.backbone, *plan.train(pair[0], rows, recipe, partner=pair[1])
    if isinstance(start, Teacher):
        return plan.backbone, *_taught(rows, recipe, start, plan)
    layered = plan.backbone + LAYER
    first = _kept(
        STARTED, plan, plan.network(layered, start.rows), lambda network: plan.train(network, start.rows, start.recipe, step=STARTED)[0]
    )
    pair = [plan.network(layered, start.rows, more=more) for more in (0, PARTNER_SEED)]
    for network in pair:
        network.backbone.load_state_dict(first.backbone.state_dict())  # type: ignore[union-attr, operator]
    if start.distil is None:
        return layered, *plan.train(pair[0], rows, recipe, partner=pair[1])
    teacher = _kept(TAUGHT, plan, pair[0], lambda network: plan.train(network, rows, recipe, step=TAUGHT, partner=pair[1])[0])
    return plan.backbone, *plan.train(
        plan.network(plan.backbone, start.rows), _with_targets(start.rows, teacher, recipe, plan), start.distil
    )


def _taught(rows: Rows, recipe: Recipe, start: Teacher, plan: Plan) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """Distillation on pruned data: a student of `rows`, its teacher's probabilities beside the given classes."""
    pair = [plan.network(plan.backbone, start.rows, more=more) for more in (0, PARTNER_SEED)]
    teacher = _kept(TAUGHT, plan, pair[0], lambda network: plan.train(network, start.rows, start.recipe, step=TAUGHT, partner=pair[1])[0])
    found = plan.train(
        plan.network(plan.backbone, rows), _with_targets(rows, teacher, recipe, plan), dataclasses.replace(recipe, loss=start.loss)
    )
    return found[0], found[1]


def _with_targets(rows: Rows, teacher: torch.nn.Module, recipe: Recipe, plan: Plan) -> Rows:
    """The rows with what the teacher says of their pictures, as they are."""
    with deterministic(recipe.n_threads, plan.device):
        targets = predict(teacher.to(plan.device), rows.pictures, precision=recipe.precision, device=plan.device)
    return dataclasses.replace(rows, targets=targets)


def _kept(name: str, plan: Plan, network: torch.nn.Module, work: Callable[[torch.nn.Module], torch.nn.Module]) -> torch.nn.Module:
    """The network after a step: as an earlier run left it, else worked on, and written for a later one."""
    import torch

    file = plan.folder / name
    if file.exists():
        tensors, metadata = load_tensors(file)
        if metadata["fingerprint"] == plan.fingerprint:
            log.info("%s: this step is done", file)
            network.load_state_dict(tensors)
            laid_out: Any = network  # as training leaves it, for equal bytes from here on
            laid_out.to(plan.device, memory_format=torch.channels_last)
            return network
    done = work(network)
    if plan.world.rank == 0:
        save_tensors(file, dict(done.state_dict()), {"fingerprint": plan.fingerprint})
    wait_for_all(plan.world)
    return done
