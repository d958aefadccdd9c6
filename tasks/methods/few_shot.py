"""Learn from a few pictures: accuracy of a linear probe on so many training rows of every concept, averaged over draws."""

import numpy as np

from tasks.methods.linear_probe import fit


def few_shot_accuracy(
    train: np.ndarray,
    classes: np.ndarray,
    test: np.ndarray,
    test_classes: np.ndarray,
    *,
    shots: int,
    draws: int,
    penalty: float,
    max_iterations: int,
    seed: int,
) -> float:
    """Mean share of right test rows over `draws` draws of `shots` training rows per class (all of a class that has fewer).

    train (n, d), test (m, d) float; classes (n,), test_classes (m,) int64. The draws come from the seed.
    """
    generator, found = np.random.default_rng(seed), []
    for _ in range(draws):
        order = generator.permutation(len(classes))
        ranks = np.empty(len(classes), np.int64)
        for k in np.unique(classes):
            rows = order[classes[order] == k]
            ranks[rows] = np.arange(len(rows))
        chosen = np.flatnonzero(ranks < shots)
        probe = fit(train[chosen], classes[chosen], penalty=penalty, max_iterations=max_iterations)
        found.append(float(np.mean(probe.predict(test) == test_classes)))
    return float(np.mean(found))
