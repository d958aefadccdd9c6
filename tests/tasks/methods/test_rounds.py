"""Rounds of predictors: small networks on two colours, and probes on blobs, both with wrong concepts among the given ones."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.methods.fusion import FusionSettings, fuse, gather
from tasks.methods.networks import NetworkSettings, out_of_fold_outputs
from tasks.methods.rounds import first_targets, network_rounds, probe_rounds
from tasks.methods.senses import Senses
from tasks.methods.text_evidence import Texts, read_texts

FUSION = FusionSettings(
    n_rounds=1, n_steps=10, transition_strength=20, smoothing=2, first_empty_share=0.3, l2=1e-3, probe_steps=40, n_subfolds=2
)  # fmt: skip
NETWORK = NetworkSettings(
    n_epochs=5, widths=(4, 4, 8, 8), batch_size=8, learning_rate=0.05, weight_decay=5e-4, word_weight=0.5, max_shift=0,
    precision="fp32", n_threads=1, device="cpu",
)  # fmt: skip
N = 80


def bags(texts: list[str | None], n_states: int) -> Texts:
    return read_texts(texts, np.ones(len(texts)), [[]] * n_states, min_count=1, start_count=0)


def noisy(truth: np.ndarray, share: float, n_concepts: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.where(rng.random(len(truth)) < share, (truth + rng.integers(1, n_concepts, len(truth))) % n_concepts, truth)


def colours() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(truth, arguments of network_rounds): red and blue pictures of 16 pixels a side, every fifth one called by the wrong name."""
    truth = np.random.default_rng(2).permutation(np.arange(N) % 2)  # in no order, as groups are: subfolds go by the group's number
    plain = np.array([[200, 60, 60], [60, 60, 200]])[truth][:, None, None]
    images = np.clip(plain + np.random.default_rng(0).normal(0, 30, (N, 16, 16, 3)), 0, 255).astype(np.uint8)
    given, told = noisy(truth, 0.2, 2), np.arange(N) // 4 % 3  # the words have nothing to do with the pictures
    targets, words = np.eye(2, dtype=np.float32)[given], np.eye(3, dtype=np.float32)[told]
    texts = bags([["sea", "sky", "sun"][word] for word in told], 3)
    known = {"folds": np.arange(N) // 2 % 2, "given": given, "texts": texts, "weights": np.ones(N), "groups": np.arange(N)}
    return truth, {"images": images, "targets": targets, "words": words, **known}


def test_first_targets_are_given_or_matched():
    matched = np.array([[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    targets = first_targets(np.array([0, -1, 1]), matched)
    assert targets == pytest.approx(np.array([[1, 0], [0.3, 0.7], [0, 1]]))
    assert targets.dtype == np.float32
    assert matched.tolist() == [[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]


def test_what_a_person_named_comes_before_what_was_given():
    targets = first_targets(np.array([0, -1, 1]), np.array([[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]), np.array([1, 0, -1]))
    assert targets.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_a_concept_whose_word_has_another_sense_is_shared_with_it():
    senses = Senses(np.array([1]), np.array([np.nan, 0.75, 0.5]), np.ones(1))
    targets = first_targets(np.array([0, 1, 1]), np.zeros((3, 2)), np.array([-1, -1, 0]), senses)
    assert targets.tolist() == [[1, 0, 0], [0, 0.25, 0.75], [1, 0, 0]]  # a person named the last one


def test_the_next_round_and_its_probes_learn_what_a_person_named():
    truth, made = colours()
    rounds = [NETWORK, replace(NETWORK, n_epochs=2)]
    alone, _ = network_rounds(**made, rounds=rounds, fusion=FUSION, seed=3)
    nobody, _ = network_rounds(**made, rounds=rounds, fusion=FUSION, seed=3, reviewed=np.full(N, -1))
    helped, _ = network_rounds(**made, rounds=rounds, fusion=FUSION, seed=3, reviewed=np.where(made["given"] == truth, -1, truth))
    assert np.array_equal(nobody.posterior, alone.posterior)
    wrong = made["given"] != truth
    assert np.abs(helped.posterior[~wrong] - alone.posterior[~wrong]).max() > 1e-4  # of those that nobody looked at
    assert helped.posterior[np.arange(N), truth].mean() > alone.posterior[np.arange(N), truth].mean()


def test_a_round_is_networks_then_fusion_and_the_next_learns_its_beliefs():
    truth, made = colours()
    told: list[int] = []
    beliefs, word_probs = network_rounds(
        **made, rounds=[NETWORK, replace(NETWORK, n_epochs=2)], fusion=FUSION, seed=3, progress=told.append
    )
    assert told == [0, 1, 2, 3, 4] * 2 + [0, 1] * 2
    assert (made["given"] == truth).mean() < 0.85
    assert (beliefs.posterior.argmax(1) == truth).mean() > 0.9

    where = (made["images"], made["words"], made["folds"])
    heard = [made[name] for name in ("given", "texts", "weights", "groups")]
    targets, earlier = made["targets"], []
    for number, n_epochs in enumerate((5, 2)):
        settings = replace(NETWORK, n_epochs=n_epochs)
        outputs = out_of_fold_outputs(where[0], targets, *where[1:], settings=settings, seed=3 + 100 * number)
        expected = fuse(outputs, *heard, n_concepts=2, settings=FUSION, earlier=earlier)
        earlier += outputs
        targets = expected.posterior.astype(np.float32)
    assert np.array_equal(beliefs.posterior, expected.posterior)
    assert np.array_equal(word_probs, gather(earlier, [output.word_probs for output in earlier], N))
    assert word_probs.sum(1) == pytest.approx(np.ones(N), abs=1e-5)


def test_no_round_is_refused():
    _, made = colours()
    with pytest.raises(ValueError, match="^no round of networks: give at least one number of epochs$"):
        network_rounds(**made, rounds=[], fusion=FUSION, seed=0)


def blobs(n: int = 300) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(truth, arguments of probe_rounds): three blobs, 25 % wrong concepts; every tenth row is of the test split."""
    truth = np.random.default_rng(2).permutation(np.arange(n) % 3)
    features = np.eye(3)[truth] + np.random.default_rng(0).normal(0, 0.3, (n, 3))
    test = np.arange(n) // 3 % 10 == 0
    given = noisy(truth, 0.25, 3)
    folds = np.where(test, -1, np.arange(n) // 3 % 3)
    known = {"given": given, "texts": bags([None] * n, 4), "weights": np.where(test, 0.0, 1.0), "groups": np.arange(n)}
    return truth, {"features": features, "targets": np.eye(3, dtype=np.float32)[given], "folds": folds, **known}


def test_probes_find_wrong_concepts_in_every_split():
    truth, made = blobs()
    beliefs = probe_rounds(**made, fusion=FUSION)
    best = beliefs.posterior[:, :3].argmax(1)
    assert (made["given"] == truth).mean() < 0.8
    assert (best == truth).mean() > 0.9
    assert (best == truth)[made["folds"] < 0].mean() > 0.85
    assert beliefs.words.counts.shape == (4, 0)


def test_probes_learn_what_a_person_named():
    truth, made = blobs()
    alone = probe_rounds(**made, fusion=FUSION)
    assert np.array_equal(probe_rounds(**made, fusion=FUSION, reviewed=np.full(300, -1)).posterior, alone.posterior)
    reviewed = np.where(made["given"] == truth, -1, truth)
    helped = probe_rounds(**made | {"targets": first_targets(made["given"], made["targets"], reviewed)}, fusion=FUSION, reviewed=reviewed)
    others = reviewed < 0
    assert helped.posterior[others, truth[others]].mean() > alone.posterior[others, truth[others]].mean()


def test_the_test_split_shapes_no_probe():
    _, made = blobs()
    test = made["folds"] < 0
    first = probe_rounds(**made, fusion=FUSION)
    wrong = {"given": np.where(test, (made["given"] + 1) % 3, made["given"]), "targets": np.where(test[:, None], 1 / 3, made["targets"])}
    second = probe_rounds(**made | wrong, fusion=FUSION)
    assert second.posterior[~test] == pytest.approx(first.posterior[~test], abs=1e-9)
    assert np.abs(second.posterior[test] - first.posterior[test]).max() > 0.2
