"""Splits of the rows: wrong concepts are found out, stable imputed labels are trusted, unstable ones are not."""

import numpy as np
import pytest
import torch

from tasks.methods.loss_settings import PseudoLoss, SmallLoss
from tasks.methods.objectives import Batch, Task, build_objective
from tasks.methods.split_objectives import sharpened
from tests.tasks.methods.test_objectives import forward_of

N, K = 800, 4
CLASSES = np.arange(N) % K
WRONG = np.arange(N) // K % 5 == 0
UNSTABLE = WRONG & (np.arange(N) // K % 2 == 0)  # half of the wrong ones show no concept at all
TRUTH = np.where(WRONG, (CLASSES + 1) % K, CLASSES)
TASK = Task(N, K, 4, CLASSES, "cpu")


def whole_batch(epoch: float) -> Batch:
    weights = torch.ones(N)
    return Batch(torch.arange(N), torch.from_numpy(CLASSES), weights, epoch, True, np.random.default_rng(0))


def beliefs(visit: int) -> torch.Tensor:
    """Logits of networks that know the truth, with a little doubt; of unstable rows they say another thing at every visit."""
    said = np.where(UNSTABLE, (CLASSES + 1 + visit % 3) % K, TRUTH)
    logits = 4.0 * np.eye(K)[said] + np.random.default_rng(visit).normal(0, 0.3, (N, K))
    return torch.from_numpy(logits).float()


def test_small_loss_finds_the_wrong_concepts() -> None:
    objective = build_objective(SmallLoss("small_loss", 1.0, 0.5, 2.0, True, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0), TASK)
    for visit in range(2):
        seen = beliefs(1).expand(2, N, K)
        objective.loss(whole_batch(float(visit)), forward_of(seen, seen, seen))
    clean = objective.tensors["clean_0"].numpy()
    assert ((clean < 0.5) == WRONG).mean() > 0.97
    torch.testing.assert_close(objective.tensors["clean_0"], objective.tensors["clean_1"])


def test_noisy_rows_are_taught_by_what_the_networks_predict() -> None:
    objective = build_objective(SmallLoss("small_loss", 1.0, 0.5, 2.0, True, 0.5, 0.0, 10.0, 0.0, 0.0, 0.0), TASK)
    seen = beliefs(1).expand(2, N, K)
    objective.loss(whole_batch(0.0), forward_of(seen, seen, seen))
    live = torch.zeros(2, N, K, requires_grad=True)
    objective.loss(whole_batch(1.0), forward_of(live, seen, seen)).backward()  # type: ignore[no-untyped-call]
    assert live.grad is not None
    row = int(np.flatnonzero(WRONG & ~UNSTABLE)[0])
    assert live.grad[0, row].argmin() == TRUTH[row]  # down the gradient the true concept rises, not the given one
    assert live.grad[0, 5].argmin() == CLASSES[5]


def test_pseudo_loss_trusts_stable_labels_and_not_those_that_change() -> None:
    objective = build_objective(PseudoLoss("pseudo_loss", 1.0, 0.5, 2.0, True, 2.0, 0.0, 0.0, 0.0), TASK)
    for visit in range(4):
        seen = beliefs(visit).expand(2, N, K)
        objective.loss(whole_batch(float(visit)), forward_of(seen, seen, seen))
    assert ((objective.tensors["clean"].numpy() < 0.5) == WRONG).mean() > 0.97
    trust = objective.tensors["trust"].numpy()
    assert trust[WRONG & ~UNSTABLE].mean() > 0.95
    assert trust[UNSTABLE].mean() < 0.05
    assert (trust[~WRONG] == 1).mean() > 0.97


def test_sharpening_squares_and_sums_to_one() -> None:
    np.testing.assert_allclose(sharpened(torch.tensor([[0.8, 0.2]]), 2.0).numpy(), [[0.64 / 0.68, 0.04 / 0.68]], rtol=1e-6)
    np.testing.assert_allclose(sharpened(torch.tensor([[0.8, 0.2]]), 1.0).numpy(), [[0.8, 0.2]], rtol=1e-6)


def test_predictions_are_remembered_from_visit_to_visit() -> None:
    objective = build_objective(PseudoLoss("pseudo_loss", 9.0, 0.5, 2.0, True, 2.0, 0.0, 0.0, 0.5), TASK)
    flat = torch.zeros(2, N, K)
    sure = torch.zeros(2, N, K)
    sure[:, :, 0] = 100.0
    objective.loss(whole_batch(0.0), forward_of(flat, sure, flat))
    np.testing.assert_allclose(objective.tensors["predictions"][0].numpy(), np.eye(K)[0], atol=1e-6)  # the first visit replaces
    assert objective.tensors["pseudo_losses"][0].item() == pytest.approx((K - 1) / K * 100, rel=1e-4)  # against even targets
    objective.loss(whole_batch(1.0), forward_of(flat, flat, flat))
    np.testing.assert_allclose(objective.tensors["predictions"][0].numpy(), 0.5 * np.eye(K)[0] + 0.5 / K, atol=1e-6)
    assert objective.tensors["pseudo_losses"][0].item() == pytest.approx(((K - 1) / K * 100 + np.log(K)) / 2, rel=1e-4)
