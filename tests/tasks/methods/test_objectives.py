"""Every objective: gradients by finite differences, and the protocol that they share."""

import copy

import numpy as np
import pytest
import torch

from tasks.methods.feature_settings import OpenTargets, RepresentationCalibration
from tasks.methods.loss_settings import (
    CoTeaching,
    CrossEntropy,
    EarlyLearning,
    EarlyLearningPlus,
    GeneralisedCrossEntropy,
    ImpreciseLabels,
    LossRescaling,
    PrototypeContrast,
    PseudoLoss,
    SmallLoss,
    SymmetricCrossEntropy,
)
from tasks.methods.losses import cross_entropy
from tasks.methods.objectives import OBJECTIVES, Batch, Forward, Objective, Output, Task, build_objective
from tasks.methods.step_settings import Distillation, StepSettings, ViewContrast

N, K, WIDTH = 12, 3, 6
CLASSES = np.arange(N) % K
TARGETS = np.random.default_rng(0).dirichlet(np.ones(K), N)
START = np.random.default_rng(1).normal(0, 1, (N, WIDTH)).astype(np.float32)
TASK = Task(N, K, WIDTH, CLASSES, "cpu", TARGETS, lambda: START)
SETTINGS: dict[str, StepSettings] = {
    "cross_entropy": CrossEntropy("cross_entropy", 0.1),
    "generalised": GeneralisedCrossEntropy("generalised_cross_entropy", 0.7, 0.0, 0.5),
    "symmetric": SymmetricCrossEntropy("symmetric_cross_entropy", 0.1, 1.0),
    "elr": EarlyLearning("elr", 1 - 1e-12, 3.0),  # a memory that stands still, as its gradient assumes
    "elr_plus": EarlyLearningPlus("elr_plus", 0.7, 3.0, 1.0),
    "pseudo_loss": PseudoLoss("pseudo_loss", 1.0, 0.5, 1.0, True, 2.0, 1.0, 0.3, 0.5),
    "co_teaching": CoTeaching("co_teaching", 0.25, 1.0, 3.0),
    "small_loss": SmallLoss("small_loss", 1.0, 0.5, 1.0, True, 0.5, 1.0, 5.0, 1.0, 0.3, 0.5),
    "prototypes": PrototypeContrast("prototype_contrast", 4, 10, 0.5, 0.9, 0.5, 0.6, 0.1, 0.0, 0.5, 1.0),
    "bootstrapping": PrototypeContrast("prototype_contrast", 4, 10, 0.5, 0.9, 0.5, 0.6, 0.1, 0.3, 0.5, 1.0),
    "rescaling": LossRescaling("loss_rescaling", 1.0, 0.9),
    "imprecise": ImpreciseLabels("imprecise_labels", 1.0, 0.8, 0.9, 0.3),
    "representation": RepresentationCalibration("representation_calibration", 0.2, 3, 1, 0.1, 0.4, 0.5),
    "open_targets": OpenTargets("open_targets", 1.0, 0.5, 1.0, True, 0.5, 6, 0.4, 0.3, 0.7),
    "views": ViewContrast("view_contrast", 4, 0.2),
    "distillation": Distillation("distillation", 2.0, 0.7),
}


def batch_of(epoch: float, places: np.ndarray | None = None) -> Batch:
    places = np.arange(8) if places is None else places
    weights = torch.linspace(0.5, 1.5, len(places), dtype=torch.float64)
    return Batch(torch.from_numpy(places), torch.from_numpy(CLASSES[places]), weights, epoch, False, np.random.default_rng(3))


def forward_of(
    live: torch.Tensor,
    still: torch.Tensor,
    projected: torch.Tensor,
    *,
    still_projected: torch.Tensor | None = None,
    below: torch.Tensor | None = None,
    head: torch.Tensor | None = None,
) -> Forward:
    """Networks whose outputs are given: `live` (2, b, k) takes gradients, `still` is what their averages say. Blends shift the logits.
    `below` (b, width) are the features, `head` (k, width) what classifies others."""

    class Given:
        def __call__(
            self, network: int = 0, *, averaged: bool = False, own: float = 1.0, mask: np.ndarray | None = None, features: bool = False
        ) -> Output:
            factor = 1.0 if mask is None else torch.from_numpy(mask.mean(1, keepdims=True))
            logits = still[network].detach() if averaged else live[network] * own * factor
            return Output(logits, still_projected if averaged and still_projected is not None else projected, below if features else None)

        def classify(self, features: torch.Tensor) -> torch.Tensor:
            assert head is not None
            return features @ head.T

    return Given()


def seasoned(settings: StepSettings) -> Objective:
    """An objective in double precision, in the middle of a run."""
    objective = build_objective(settings, TASK)
    generator = torch.Generator().manual_seed(5)
    for name, tensor in objective.tensors.items():
        if tensor.is_floating_point():
            values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            objective.tensors[name] = values / values.sum(-1, keepdim=True) if tensor.ndim == 2 else values
        else:
            tensor.fill_(7)
    return objective


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("epoch", [0.0, 2.5])
def test_gradients_agree_with_finite_differences(name: str, epoch: float) -> None:
    generator = torch.Generator().manual_seed(1)
    start = seasoned(SETTINGS[name])
    n, width = 8 * start.views, (start.projection or (4,))[-1]
    live, still = (torch.randn(2, n, K, generator=generator, dtype=torch.float64) for _ in range(2))
    z, still_z = (torch.nn.functional.normalize(torch.randn(n, width, generator=generator, dtype=torch.float64), dim=1) for _ in range(2))
    below, head = (torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64).requires_grad_() for rows in (n, K))
    live.requires_grad_()
    z.requires_grad_(name != "bootstrapping")  # its targets come from z, without gradient

    def loss(logits: torch.Tensor, projected: torch.Tensor, features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        forward = forward_of(logits, still, projected, still_projected=still_z, below=features, head=weights)
        return copy.deepcopy(start).loss(batch_of(epoch), forward)

    inputs = (live, z, below, head)
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_memories_are_plain_tensors_without_gradient_and_only_of_the_batch(name: str) -> None:
    objective = seasoned(SETTINGS[name])
    before = {name: tensor.clone() for name, tensor in objective.tensors.items()}
    n, width = 8 * objective.views, (objective.projection or (4,))[-1]
    live = torch.randn(2, n, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    z = torch.nn.functional.normalize(torch.ones(n, width, dtype=torch.float64), dim=1).requires_grad_()
    below, head = (torch.ones(rows, WIDTH, dtype=torch.float64).requires_grad_() for rows in (n, K))
    still = z.detach()
    objective.loss(batch_of(2.5), forward_of(live, live, z, still_projected=still, below=below, head=head)).backward()  # type: ignore[no-untyped-call]
    for name, tensor in objective.tensors.items():
        assert not tensor.requires_grad
        if tensor.shape[:1] == (N,):
            assert torch.equal(tensor[8:], before[name][8:])


def test_weights_scale_each_rows_share() -> None:
    objective = build_objective(CrossEntropy("cross_entropy", 0.0), TASK)
    live = torch.randn(2, 8, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    batch = batch_of(0.0)
    expected = (batch.weights * cross_entropy(live[0], batch.classes)).mean()
    assert objective.loss(batch, forward_of(live, live, live)).item() == pytest.approx(expected.item())


def test_a_row_that_stands_twice_in_a_batch_is_remembered_once() -> None:
    objective = build_objective(EarlyLearning("elr", 0.5, 1.0), TASK)
    live = torch.zeros(2, 4, K)
    live[0, 0, 0], live[0, 3, 1] = 5.0, 5.0
    batch = batch_of(0.0, np.array([2, 4, 5, 2]))
    objective.loss(batch, forward_of(live, live, live))
    assert objective.tensors["memory"][2].argmax() == 0
    assert objective.tensors["memory"].sum(1)[[2, 4, 5]].tolist() == pytest.approx([0.5] * 3)


def test_every_kind_of_settings_has_an_objective() -> None:
    assert {type(settings) for settings in SETTINGS.values()} == set(OBJECTIVES)
    with pytest.raises(ValueError, match=r"no objective takes 'elr': pass one of CrossEntropy, .*PrototypeContrast"):
        build_objective("elr", TASK)  # type: ignore[arg-type]
