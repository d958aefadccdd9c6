"""Score what detectors say against the truth, for benchmarks.detectors: alone, and left out of all together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.detector_tables import Loaded
from tasks.methods.open_set import auroc

YIELDS = (0.70, 0.80)
SENSE_YIELD = 0.60


@dataclass(frozen=True)
class Signals:
    """What a method says, each (n,) and each optional: label and inside in order of 1 = good, suggested concepts and trust in them, and
    whether image and text belong together, in order of 1 = good."""

    label: np.ndarray | None = None
    inside: np.ndarray | None = None
    suggested: np.ndarray | None = None
    trust: np.ndarray | None = None
    text: np.ndarray | None = None


class Scorer:
    """The only place that knows the truth."""

    def __init__(self, loaded: Loaded, truth: Path, prior: np.ndarray, transition: np.ndarray) -> None:
        kinds, texts, shown, misunderstood = loaded.truth(truth)
        self.pool = np.isin(kinds, ["clean", "label_noise", "ood"])
        self.given = loaded.samples.given
        self.inside, self.wrong = kinds != "ood", kinds != "clean"
        self.state = np.select([kinds == "clean", kinds == "ood"], ["right", "off_topic"], "wrong_concept")
        self.shown = shown
        self.told = np.isin(kinds, ["clean", "label_noise"]) & np.isin(texts, ["random", "specific"])
        self.own_text = texts == "specific"
        self.n_concepts = k = transition.shape[1]
        self.shares = (float(prior[:k] @ np.diag(transition[:k])), float(prior[k:].sum()))  # the machine's own estimate
        self.misread = self.pool & np.isin(self.given, np.unique(self.given[misunderstood]))

    def figures(self, signals: Signals) -> dict[str, float | None]:
        """The figures of one method."""
        label, inside = signals.label, signals.inside
        result: dict[str, float | None] = {"noise_ap": self.noise_ap(label), "ood_auroc": self.ood_auroc(inside)}
        result["verdict_f1"] = self.verdict_f1(label, inside if inside is not None else label)
        result["sense_purity"] = self.sense_purity(label)
        result["text_auroc"] = self.text_auroc(signals.text)
        for share in YIELDS:
            result[f"purity_{share:.2f}"] = self.purity(signals, share)
        return {name: None if value is None else round(value, 4) for name, value in result.items()}

    def noise_ap(self, label: np.ndarray | None) -> float | None:
        return None if label is None else float(average_precision_score(self.wrong[self.pool], 1 - label[self.pool]))

    def ood_auroc(self, inside: np.ndarray | None) -> float | None:
        return None if inside is None else auroc(inside[self.pool], self.inside[self.pool])

    def text_auroc(self, text: np.ndarray | None) -> float | None:
        if text is None or len(np.unique(self.own_text[self.told])) < 2:
            return None
        return auroc(text[self.told], self.own_text[self.told])

    def sense_purity(self, label: np.ndarray | None) -> float | None:
        """Of the words that mostly show another sense: purity of the best rows by label score that hold SENSE_YIELD of the right images."""
        if label is None or not self.misread.any():
            return None
        right = np.cumsum(~self.wrong[self.misread][np.argsort(-label[self.misread], kind="stable")])
        n = int(np.searchsorted(right, SENSE_YIELD * right[-1])) + 1
        return float(right[n - 1] / n)

    def verdict_f1(self, label: np.ndarray | None, inside: np.ndarray | None) -> float | None:
        if label is None or inside is None:
            return None
        n_right, n_off = (round(share * len(label)) for share in self.shares)
        found = np.full(len(label), "wrong_concept", object)
        found[np.argsort(-label, kind="stable")[:n_right]] = "right"
        found[np.argsort(inside, kind="stable")[:n_off]] = "off_topic"
        scores = []
        for state in ("right", "wrong_concept", "off_topic"):
            said, true = found[self.pool] == state, self.state[self.pool] == state
            scores.append(2 * (said & true).sum() / max(said.sum() + true.sum(), 1))
        return float(np.mean(scores))

    def purity(self, signals: Signals, share: float) -> float | None:
        if signals.suggested is None or signals.trust is None:
            return None
        hits = (signals.suggested == self.shown) & self.inside
        order = np.argsort(-signals.trust[self.pool], kind="stable")
        right = np.cumsum(hits[self.pool][order])
        n = int(np.searchsorted(right, share * self.inside[self.pool].sum())) + 1
        return float(right[n - 1] / n) if n <= len(right) else None


def table(found: dict[str, Signals], costs: dict[str, dict[str, float]], scorer: Scorer) -> list[dict[str, Any]]:
    """One row per method, and one for all of them together (`all`), which no row of the EM's own ablation, of `score` or of DataComp's
    filters is part of."""
    fused = [name for name in found if not name.startswith(("em_", "score_", "datacomp_"))]
    together = agreed([found[name] for name in fused], scorer.n_concepts)
    every = scorer.figures(together)
    rows: list[dict[str, Any]] = []
    for name, signals in found.items():
        row: dict[str, Any] = {"method": name, **scorer.figures(signals), **costs[name]}
        if name in fused:
            without = scorer.figures(agreed([found[other] for other in fused if other != name], scorer.n_concepts))
            row["left_out"] = {
                figure: round(left - whole, 4)
                for figure in touched(signals)
                if (left := without[figure]) is not None and (whole := every[figure]) is not None
            }
        rows.append(row)
    rows.append({"method": "all", **every, "seconds": 0.0, "memory_mb": 0.0})
    return rows


def touched(signals: Signals) -> list[str]:
    """The figures of all methods together that a method has a part in."""
    parts = {"noise_ap": signals.label, "ood_auroc": signals.inside, **{f"purity_{share:.2f}": signals.trust for share in YIELDS}}
    ranked = ["verdict_f1"] if signals.label is not None or signals.inside is not None else []
    return [name for name, part in parts.items() if part is not None] + ranked


def agreed(methods: list[Signals], n_concepts: int) -> Signals:
    """What methods say together: mean ranks, and the concept whose suggestions add up to the most, each by the rank of its trust."""
    label, inside = (_mean_rank([getattr(said, kind) for said in methods]) for kind in ("label", "inside"))
    votes = [(said.suggested, _ranks(said.trust)) for said in methods if said.suggested is not None and said.trust is not None]
    if not votes:
        return Signals(label, inside)
    total = np.zeros((len(votes[0][1]), n_concepts))
    for suggested, trust in votes:
        rows = np.flatnonzero(suggested >= 0)
        total[rows, suggested[rows]] += trust[rows]
    return Signals(label, inside, total.argmax(1), total.max(1) / len(votes))


def _mean_rank(scores: list[np.ndarray | None]) -> np.ndarray | None:
    there = [_ranks(values) for values in scores if values is not None]
    return np.asarray(np.mean(there, axis=0)) if there else None


def _ranks(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    return np.asarray((np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2 / len(values))
