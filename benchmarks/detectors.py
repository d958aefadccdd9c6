"""Ask what every detector is worth: alone, left out, and fused, on a curated workspace.

    python -m benchmarks.detectors [CRAWL] [--workspace DIR] [--truth FILE]

Without a workspace CRAWL (a packed crawl) is curated first, as benchmarks.curation does it. The detectors read its tables and no image:
predictions are out-of-fold probes on the stored embeddings, so figures lie below those of `score` with networks (the row `score_stage`,
as stored). The truth is read by the scorer alone. One JSON line comes last; its list `rows` has for every method

noise_ap, ood_auroc     how well its scores rank wrong labels and off-topic images; null where it has no such score
text_auroc              how well it ranks another image's text against the image's own specific text; null where it judges no pair
verdict_f1              macro F1 of right, wrong_concept, off_topic, with as many rows of each kind as the EM estimates
purity_0.70, _0.80      purity of its surest suggestions at that yield of in-domain images; null where it suggests nothing of its own
left_out                noise_ap, ood_auroc, verdict_f1 and purities of all methods but this one together (mean ranks; concepts by summed
                        ranks of trust), less those of all; negative = it is missed; only the figures that it has a part in
seconds, memory_mb      CPU seconds and most memory of the method by itself; what it shares with others (`shared_s`) is left out
"""

import argparse
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ruamel.yaml import YAML

from benchmarks.curation import OVERLAY, REPO, curate
from benchmarks.detector_baselines import baseline_methods
from benchmarks.detector_beliefs import believe
from benchmarks.detector_pairs import pair_methods
from benchmarks.detector_scores import Scorer, Signals, table
from benchmarks.detector_tables import Loaded, load
from tasks.methods.capro import CaproSettings, clean, match_fit
from tasks.methods.consensus import count_consensus, error_chances, fit_noise
from tasks.methods.label_filters import RULES, find_issues
from tasks.methods.label_quality import quality_scores
from tasks.methods.noisy_correspondence import PairSettings
from tasks.methods.ood_scores import SCORES, Known, OodSettings
from tasks.methods.probes import fit_probe, out_of_fold_log_probs
from tasks.methods.propagation import propagated
from tasks.methods.prototypes import choose_anchors, smooth_texts, text_fit
from tasks.methods.rounds import first_targets
from tasks.methods.samples import Samples
from tasks.methods.separation import relabel_weights, separate
from tasks.methods.simifeat import rounds as vote_rounds
from tasks.methods.small_loss import clean_posterior
from tasks.methods.suggestions import suggestions
from tasks.methods.text_evidence import text_likelihood
from tasks.methods.votes import given_share, vote_shares

SETTINGS = Path(__file__).with_suffix(".yaml")
QUALITIES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crawl", nargs="?", type=Path, metavar="CRAWL", default=REPO.parent / "shared" / "data" / "tinyweb")
    parser.add_argument("--workspace", type=Path, help="a workspace that benchmarks.curation --keep has left")
    parser.add_argument("--truth", type=Path, help="default: CRAWL/truth.parquet")
    options = parser.parse_args()
    truth = options.truth or options.crawl / "truth.parquet"
    with tempfile.TemporaryDirectory(prefix="sluice-detectors-") as temporary:
        workspace = options.workspace
        if workspace is None:
            workspace = Path(temporary) / "workspace"
            curate(options.crawl.resolve(), workspace, OVERLAY, None, REPO.parent / "shared" / "tools" / "score.py")
        print(json.dumps(measure(load(workspace.resolve()), truth)))


def measure(loaded: Loaded, truth: Path) -> dict[str, Any]:
    """Run every method, then score them all."""
    settings = YAML(typ="safe").load(SETTINGS)
    began = time.process_time()
    shared = Shared(loaded, settings)
    shared_s = time.process_time() - began
    found: dict[str, Signals] = {}
    costs: dict[str, dict[str, float]] = {}
    for name, method in methods(shared).items():
        print(f"{name} ...", file=sys.stderr)
        tracemalloc.start()
        began = time.process_time()
        found[name] = method()
        costs[name] = {"seconds": round(time.process_time() - began, 2), "memory_mb": round(tracemalloc.get_traced_memory()[1] / 1e6, 1)}
        tracemalloc.stop()
    scorer = Scorer(loaded, truth, shared.beliefs.prior, shared.beliefs.transition)
    return {"rows": table(found, costs, scorer), "shared_s": round(shared_s, 1), "samples": len(loaded.samples.given)}


class Shared:
    """What many methods start from: out-of-fold predictions, the EM's beliefs, anchors, and the rows kept by the EM so far."""

    def __init__(self, loaded: Loaded, settings: dict[str, Any]) -> None:
        s, self.loaded, self.settings = loaded.samples, loaded, settings
        self.n_concepts = len(loaded.names)
        self.probe = {"l2": settings["l2"], "n_steps": settings["probe_steps"]}
        self.texts, self.beliefs, self.plain = believe(loaded, settings)
        targets = first_targets(s.given, loaded.matched)
        self.log_probs = out_of_fold_log_probs(s.embeddings, targets, s.weights, s.folds, **self.probe)
        self.probs = np.exp(self.log_probs.astype(np.float64))
        self.logits = out_of_fold_logits(s, targets, **self.probe)
        best = self.beliefs.posterior.argmax(1)
        self.members = np.where((best < self.n_concepts) & (s.weights > 0), best, -1)
        named = settings["anchors"]
        self.smoothed = smooth_texts(
            loaded.text_embeddings, loaded.has_text & (s.weights > 0), s.neighbors, s.similarities, n_neighbors=named["n_neighbors"]
        )
        fit, passes = text_fit(s.embeddings, self.smoothed, s.given, loaded.text_prototypes, loaded.rivals, loaded.rival_of)
        self.capro = CaproSettings(**settings["capro"])
        ranked = match_fit(fit, self.smoothed, s.given, s.weights > 0, loaded.text_prototypes, self.capro)
        self.fit = ranked
        self.anchors = choose_anchors(
            ranked, passes, s.given, s.groups, s.weights > 0, n_anchors=named["n_anchors"], max_share=named["max_share"]
        )


def out_of_fold_logits(s: Samples, targets: np.ndarray, *, l2: float, n_steps: int) -> np.ndarray:
    """(n, K) logits of the same probes before they are normalised, for energy and ViM; rows of no fold get the mean of all probes."""
    result, names = np.zeros((len(s.given), targets.shape[1])), np.unique(s.folds[s.folds >= 0])
    for fold in names:
        train = (s.folds >= 0) & (s.folds != fold) & (s.weights > 0)
        mean, spread, coefficients, intercepts = fit_probe(s.embeddings[train], targets[train], s.weights[train], l2=l2, n_steps=n_steps)
        logits = (s.embeddings - mean) / spread @ coefficients + intercepts
        result += np.where((s.folds == fold)[:, None], logits, np.where((s.folds < 0)[:, None], logits / len(names), 0.0))
    return result


def methods(shared: Shared) -> dict[str, Callable[[], Signals]]:
    """Every method by name."""
    s, k = shared.loaded.samples, shared.n_concepts
    own = np.maximum(s.given, 0)
    everyone = np.arange(len(own))

    def believed(chances: np.ndarray) -> Signals:
        """Chances (n, n_states) of the k concepts, other senses and none of them."""
        suggested = suggestions(chances[:, :k], s.given, min_given_share=shared.settings["min_given_share"])
        return Signals(chances[everyone, own], chances[:, :k].sum(1), suggested, chances[everyone, suggested])

    def votes() -> Signals:
        shares = vote_shares(s.neighbors, s.similarities, s.given, s.groups, s.weights > 0, n_concepts=k)
        return Signals(given_share(shares, s.given), None, shares.argmax(1), shares.max(1))

    def propagation() -> Signals:
        shares = propagated(s.neighbors, s.similarities, s.given, s.groups, s.weights, n_concepts=k, **shared.settings["propagation"])
        return Signals(given_share(shares, s.given), None, shares.argmax(1), shares.max(1))

    def simifeat(rule: Literal["vote", "rank"]) -> Signals:
        told = shared.settings
        common = {"n_concepts": k, "n_rounds": told["n_rounds"], "share": told["share"], "seed": 0}
        noise = None
        if rule == "rank":
            counted = count_consensus(s.neighbors, s.given, s.groups, s.weights, n_slices=told["n_slices"], **common)
            noise = 1 - np.diag(error_chances(*fit_noise(counted, n_steps=told["consensus_steps"])))
        judged = vote_rounds(
            s.neighbors, s.similarities, s.given, s.groups, s.weights, n_neighbors=told["n_neighbors"], rule=rule, noise=noise, **common
        )
        noisy = judged.noisy_chance > 0.5
        return Signals(
            1 - judged.noisy_chance,
            None,
            np.where(noisy, judged.suggested, s.given),
            np.where(noisy, judged.confidence, 1 - judged.noisy_chance),
        )

    def quality(name: str, adjusted: bool) -> Signals:
        scores = quality_scores(shared.probs, s.given, quality=name, adjusted=adjusted)  # type: ignore[arg-type]
        return Signals(scores, None, shared.probs.argmax(1), shared.probs.max(1))

    def issues(rule: str) -> Signals:
        return Signals(1.0 - find_issues(shared.probs, s.given, rule=rule))  # type: ignore[arg-type]

    def small_loss() -> Signals:
        losses = -shared.log_probs[everyone, own].astype(np.float64)
        return Signals(clean_posterior(losses, own, min_separation=shared.settings["min_separation"]))

    def separation() -> Signals:
        told = {"n_concepts": k, "min_separation": shared.settings["min_separation"], **shared.settings["separation"], **shared.probe}
        found = separate(s.embeddings, s.given, s.weights, s.folds, **told)
        probs = np.exp(found.log_probs.astype(np.float64))
        trust = relabel_weights(
            shared.probs, probs, found.noisy > 0.5, s.weights, power=shared.settings["relabel_power"], min_separation=told["min_separation"]
        )
        best = np.where(found.noisy > 0.5, probs.argmax(1), s.given)
        return Signals(1 - found.noisy, 1 - found.by_plane, best, trust * np.where(found.noisy > 0.5, found.noisy, 1 - found.noisy))

    def prototypes() -> Signals:
        chances = shared.loaded.matched
        return Signals(chances[everyone, own], None, chances.argmax(1), chances.max(1))

    def capro() -> Signals:
        l = shared.loaded  # noqa: E741
        found = clean(
            s.embeddings, s.given, shared.anchors, l.text_prototypes, s.neighbors, s.similarities, s.weights, s.folds, settings=shared.capro
        )
        return Signals(found.mixed[everyone, own], found.mixed.max(1), found.mixed.argmax(1), found.mixed.max(1))

    def words() -> Signals:
        said = text_likelihood(shared.texts, shared.beliefs.words, shared.beliefs.prior) * shared.beliefs.prior
        return believed(said / said.sum(1, keepdims=True))

    def without_text() -> Signals:
        emitted = shared.beliefs.transition[:, own].T
        chances = shared.beliefs.image * np.where((s.given >= 0)[:, None], emitted, 1.0)
        return believed(chances / chances.sum(1, keepdims=True))

    def without_image() -> Signals:
        said = text_likelihood(shared.texts, shared.beliefs.words, shared.beliefs.prior) * shared.beliefs.prior
        chances = said * np.where((s.given >= 0)[:, None], shared.beliefs.transition[:, own].T, 1.0)
        return believed(chances / chances.sum(1, keepdims=True))

    known = Known(
        s.embeddings, shared.logits, shared.members, s.weights, s.neighbors, s.similarities, s.groups,
        shared.loaded.text_prototypes,
    )  # fmt: skip
    told = OodSettings(**shared.settings["ood"])
    stored = shared.loaded.stored
    return {
        "votes": votes,
        "propagation": propagation,
        "simifeat_vote": lambda: simifeat("vote"),
        "simifeat_rank": lambda: simifeat("rank"),
        **{f"quality_{name}": lambda name=name: quality(name, False) for name in QUALITIES},  # type: ignore[misc]
        "quality_self_confidence_adjusted": lambda: quality("self_confidence", True),
        **{f"filter_{rule}": lambda rule=rule: issues(rule) for rule in RULES},  # type: ignore[misc]
        "small_loss": small_loss,
        "lsa_pls": separation,
        "text_match": lambda: Signals(shared.fit),
        "prototypes": prototypes,
        "capro": capro,
        "words": words,
        **baseline_methods(shared.loaded),
        **pair_methods(shared.loaded, PairSettings(**shared.settings["pairs"])),
        **{f"ood_{name}": lambda name=name: Signals(None, SCORES[name](known, told)) for name in SCORES},  # type: ignore[misc]
        "em": lambda: believed(shared.beliefs.posterior),
        "em_without_senses": lambda: believed(shared.plain.posterior),
        "em_without_text": without_text,
        "em_without_given": lambda: believed(shared.beliefs.without_given),
        "em_without_image": without_image,
        "score_stage": lambda: Signals(
            stored["label_score"], stored["ood_score"], stored["suggested"].astype(np.int64), stored["confidence"], stored["text_score"]
        ),
    }


if __name__ == "__main__":
    main()
