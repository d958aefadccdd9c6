"""Few pictures per concept: more shots are better, and draws come from the seed."""

import numpy as np

from tasks.methods.few_shot import few_shot_accuracy


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    classes = np.arange(n) % 4
    return np.eye(4)[classes] * 2.0 + generator.normal(0, 1.0, (n, 4)), classes


def accuracy_of(shots: int, seed: int = 0, draws: int = 5) -> float:
    how = {"draws": draws, "penalty": 0.1, "max_iterations": 50, "seed": seed}
    return few_shot_accuracy(*blobs(200, 0), *blobs(400, 1), shots=shots, **how)  # type: ignore[arg-type]


def test_more_shots_are_better_and_one_beats_chance() -> None:
    found = [accuracy_of(shots) for shots in (1, 5, 50)]
    assert 0.35 < found[0] < found[1] < found[2]


def test_draws_come_from_the_seed() -> None:
    assert accuracy_of(2, seed=3, draws=1) == accuracy_of(2, seed=3, draws=1)
    assert len({accuracy_of(2, seed=seed, draws=1) for seed in range(4)}) > 1
