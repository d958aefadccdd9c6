"""Discount a signal by what it repeats of another: an exponent on its likelihood, out of how well both together foretell a third one.

Signals that err on the same samples (a hard picture misleads the network and the person who labelled it) count twice where their
likelihoods are multiplied as if they erred apart. Nobody has to label anything to see it: beliefs that are too sure foretell the third
signal worse.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-3  # of the exponent
LEAST_GAIN = 1e-6  # of the mean log-likelihood, below which the witness has nothing to say


def discount(chances: np.ndarray, likelihood: np.ndarray, witness: np.ndarray, weights: np.ndarray) -> float:
    """The exponent in [0, 1] on `likelihood` for which chances and signal together foretell the witness best.

    chances (n, n_states): beliefs before the signal, rows sum to 1; likelihood and witness (n, n_states): the likelihoods of the signal and
    of a third one, up to a factor per row; weights (n,), 0 = left out. It maximises the weighted log-likelihood of the witness, a proper
    score (composite likelihood: Varin, Reid and Firth 2011). 1 where the witness says nothing.
    """
    from scipy.optimize import minimize_scalar

    used = weights > 0
    if not used.any():
        return 1.0
    start, told, seen = np.log(np.maximum(chances[used], 1e-12)), np.log(np.maximum(likelihood[used], 1e-12)), witness[used]
    counts = weights[used] / weights[used].sum()

    def surprise(exponent: float) -> float:
        logits = start + exponent * told
        together = np.exp(logits - logits.max(1, keepdims=True))
        foretold = (together * seen).sum(1) / together.sum(1)
        return -float(counts @ np.log(np.maximum(foretold, 1e-300)))

    found = minimize_scalar(surprise, bounds=(0.0, 1.0), method="bounded", options={"xatol": TOLERANCE})
    return float(found.x) if surprise(1.0) - found.fun > LEAST_GAIN else 1.0
