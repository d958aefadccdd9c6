"""Made predictions with wrong labels, for tests of confident learning."""

import numpy as np


def predictions(n: int, k: int, seed: int, *, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """(pred_probs (n, k) float64, given (n,)): skewed concept sizes, confidence that varies, wrong labels."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(k, n, p=np.linspace(1, 3, k) / np.linspace(1, 3, k).sum())
    logits = rng.normal(0, 1, (n, k)) + rng.uniform(0, 5, n)[:, None] * np.eye(k)[truth]
    pred_probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return pred_probs, np.where(rng.random(n) < noise, rng.integers(0, k, n), truth)
