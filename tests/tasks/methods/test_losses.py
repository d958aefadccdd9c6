"""Losses against worked examples, and their gradients against finite differences in float64."""

import math

import numpy as np
import pytest
import torch

from tasks.methods.losses import (
    cross_entropy,
    distillation_loss,
    elr_memory,
    elr_term,
    generalised_cross_entropy,
    imbalance_penalty,
    logit_offsets,
    one_against_rest,
    reverse_cross_entropy,
    soft_cross_entropy,
    symmetric_cross_entropy,
    view_contrast,
)


def logits_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


def test_cross_entropy_is_minus_log_of_the_given_class() -> None:
    assert cross_entropy(logits_of(0.6, 0.3, 0.1), torch.tensor([0])).item() == pytest.approx(0.5108, abs=1e-4)


def test_smoothing_spreads_a_share_of_the_target() -> None:
    smoothed = cross_entropy(logits_of(0.6, 0.3, 0.1), torch.tensor([0]), label_smoothing=0.3).item()
    expected = -(0.8 * math.log(0.6) + 0.1 * math.log(0.3) + 0.1 * math.log(0.1))
    assert smoothed == pytest.approx(expected, abs=1e-9)


def test_generalised_cross_entropy_of_the_worked_example() -> None:
    logits, given = logits_of(0.6, 0.3, 0.1), torch.tensor([0])
    assert generalised_cross_entropy(logits, given, q=0.7).item() == pytest.approx(0.4295, abs=1e-4)
    assert generalised_cross_entropy(logits, given, q=1e-6).item() == pytest.approx(0.5108, abs=1e-4)  # cross-entropy
    assert generalised_cross_entropy(logits, given, q=1.0).item() == pytest.approx(0.4)  # half the absolute error


def test_one_against_rest_of_the_worked_example() -> None:
    logits = torch.logit(torch.tensor([[0.9, 0.5, 0.2]], dtype=torch.float64))
    assert one_against_rest(logits, torch.tensor([0])).item() == pytest.approx(-math.log(0.9) - math.log(0.5))
    assert one_against_rest(logits, torch.tensor([2])).item() == pytest.approx(-math.log(0.2) - math.log(0.1))
    assert one_against_rest(logits[:, :1], torch.tensor([0])).item() == pytest.approx(-math.log(0.9))


def test_truncated_rows_teach_nothing() -> None:
    logits = torch.tensor([[0.6, 0.4], [0.3, 0.7]], dtype=torch.float64).log().requires_grad_()
    losses = generalised_cross_entropy(logits, torch.tensor([0, 0]), q=0.7, truncation=0.5)
    assert losses[1].item() == pytest.approx((1 - 0.5**0.7) / 0.7)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() > 0.1
    assert logits.grad[1].abs().sum() == 0


def test_symmetric_cross_entropy_of_the_worked_example() -> None:
    logits, given = logits_of(0.6, 0.3, 0.1), torch.tensor([0])
    assert reverse_cross_entropy(logits, given).item() == pytest.approx(3.684, abs=1e-3)
    both = symmetric_cross_entropy(logits, given, forward_strength=0.1, reverse_strength=1.0)
    assert both.item() == pytest.approx(0.0511 + 3.684, abs=1e-3)


def test_soft_targets_of_one_class_are_plain_cross_entropy() -> None:
    logits = logits_of(0.6, 0.3, 0.1)
    assert soft_cross_entropy(logits, torch.tensor([[0.0, 1.0, 0.0]])).item() == pytest.approx(-math.log(0.3))
    assert soft_cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]])).item() == pytest.approx(-(math.log(0.6) + math.log(0.3)) / 2)


def test_an_uneven_mean_prediction_costs() -> None:
    even = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64).log()
    assert imbalance_penalty(even).item() == pytest.approx(0.0, abs=1e-12)
    uneven = torch.tensor([[0.9, 0.1], [0.7, 0.3]], dtype=torch.float64).log()
    assert imbalance_penalty(uneven).item() == pytest.approx(-0.5 * math.log(0.8 / 0.5) - 0.5 * math.log(0.2 / 0.5))


def test_elr_term_of_the_worked_example() -> None:
    term = elr_term(logits_of(0.6, 0.3, 0.1), torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64))
    assert term.item() == pytest.approx(-0.6733, abs=1e-4)


def test_elr_memory_moves_by_one_minus_momentum() -> None:
    memory = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    moved = elr_memory(memory, logits_of(0.6, 0.3, 0.1), momentum=0.7)
    np.testing.assert_allclose(moved.numpy(), [[0.18, 0.79, 0.03]], atol=1e-9)


def test_elr_cancels_the_gradient_of_a_label_that_contradicts_the_early_prediction() -> None:
    memory = torch.tensor([[0.95, 0.03, 0.02]], dtype=torch.float64)
    gradients = []
    for strength in (0.0, 3.0):
        logits = logits_of(0.9, 0.06, 0.04).requires_grad_()
        (cross_entropy(logits, torch.tensor([1])) + strength * elr_term(logits, memory)).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        gradients.append(logits.grad[0, 0].item())
    assert gradients[0] == pytest.approx(0.9)  # plain: away from what the network said
    assert gradients[1] < 0  # with ELR: towards it


def test_memory_takes_no_gradient() -> None:
    logits = logits_of(0.6, 0.3, 0.1).requires_grad_()
    assert not elr_memory(torch.zeros(1, 3, dtype=torch.float64), logits, momentum=0.5).requires_grad


@pytest.mark.parametrize(
    "loss", ["cross_entropy", "smoothed", "soft", "elr", "generalised", "truncated", "symmetric", "one_against_rest", "imbalance"]
)
def test_gradients_agree_with_finite_differences(loss: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    memory = torch.rand(4, 5, generator=generator, dtype=torch.float64).softmax(1)
    classes = torch.tensor([0, 3, 2, 4])
    functions = {
        "cross_entropy": lambda x: cross_entropy(x, classes),
        "smoothed": lambda x: cross_entropy(x, classes, label_smoothing=0.1),
        "soft": lambda x: soft_cross_entropy(x, memory),
        "elr": lambda x: elr_term(x, memory),
        "generalised": lambda x: generalised_cross_entropy(x, classes, q=0.7),
        "truncated": lambda x: generalised_cross_entropy(x, classes, q=0.7, truncation=0.2),
        "symmetric": lambda x: symmetric_cross_entropy(x, classes, forward_strength=0.1, reverse_strength=1.0),
        "one_against_rest": lambda x: one_against_rest(x, classes),
        "imbalance": imbalance_penalty,
    }
    assert torch.autograd.gradcheck(functions[loss], (logits,), eps=1e-6, atol=1e-7)


def test_logit_offsets_of_the_worked_example() -> None:
    np.testing.assert_allclose(logit_offsets(np.array([0.9, 0.09, 0.01]), strength=1.0), [-0.105, -2.408, -4.605], atol=1e-3)
    np.testing.assert_allclose(logit_offsets(np.array([90, 9, 1]), strength=0.5), [-0.0527, -1.204, -2.3026], atol=1e-3)


def test_a_class_without_samples_gets_half_of_the_rarest() -> None:
    assert logit_offsets(np.array([3.0, 0.0, 1.0]), strength=1.0)[1] == pytest.approx(math.log(0.5 / 4))


def test_no_priors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"priors must be non-negative with a positive sum, got \[0.0, 0.0\]: pass the class counts"):
        logit_offsets(np.zeros(2), strength=1.0)


def test_views_find_their_fellow_among_all_others() -> None:
    apart = torch.eye(2, dtype=torch.float64).repeat_interleave(2, 0)
    assert view_contrast(apart, temperature=1.0).tolist() == pytest.approx([math.log(1 + 2 / math.e)] * 4)  # 0.5514
    alike = torch.ones(4, 1, dtype=torch.float64)
    assert view_contrast(alike, temperature=0.1).tolist() == pytest.approx([math.log(3)] * 4)  # a guess among three


def test_distillation_at_a_temperature_of_a_worked_example() -> None:
    targets = torch.tensor([[0.8, 0.2]], dtype=torch.float64)
    plain = distillation_loss(logits_of(0.5, 0.5), targets, temperature=1.0).item()
    assert plain == pytest.approx(math.log(2))
    # At temperature 2: targets sqrt(.8) : sqrt(.2) = 2 : 1, prediction sqrt(.9) : sqrt(.1) = 3 : 1, times 4.
    warm = distillation_loss(logits_of(0.9, 0.1), targets, temperature=2.0).item()
    assert warm == pytest.approx(4 * -(2 / 3 * math.log(3 / 4) + 1 / 3 * math.log(1 / 4)))
