"""NMTune's head: its terms by hand and by finite differences, and that it learns."""

import numpy as np
import pytest
import torch

from tasks.methods.tuned_head import nmtune_terms, tuned_head_accuracy


def test_terms_of_unchanged_even_features() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    consistency, covariance, dominant = nmtune_terms(rows, rows)
    assert consistency.item() == 0.0
    assert covariance.item() == pytest.approx(0.0)
    assert dominant.item() == pytest.approx(-(2**0.5))


def test_covariance_off_the_diagonal_costs() -> None:
    rows = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    assert nmtune_terms(rows, rows)[1].item() == pytest.approx(2 * 2.0**2 / 2)


def test_moved_directions_cost() -> None:
    before, after = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert nmtune_terms(after, before)[0].item() == pytest.approx(0.5)


def test_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    tuned = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    features = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    for place in range(3):
        assert torch.autograd.gradcheck(lambda rows, place=place: nmtune_terms(rows, features)[place], (tuned,), eps=1e-6, atol=1e-6)


def test_it_learns_and_repeats_itself() -> None:
    generator = np.random.default_rng(0)
    classes = np.arange(300) % 3
    features = (np.eye(6)[classes] * 3 + generator.normal(0, 1, (300, 6))).astype(np.float32)
    how = {"epochs": 5, "batch_size": 32, "learning_rate": 0.003, "strengths": (1.0, 0.04, 0.001), "seed": 0}
    first, again = (tuned_head_accuracy(features[:200], classes[:200], features[200:], classes[200:], **how) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    assert first > 0.85
