"""Score how far each image shows one of the concepts at all: twelve scores behind one signature.

Every score takes what is known of the rows and the settings, and gives (n,) float64 in [0, 1], 1 = in distribution. Scores that have no
scale of their own are ranks among the kept rows. All statistics come from kept rows: one off-topic clump in the statistics stretches
them in its own direction and hides itself. Only the background of the relative distance is fitted on the whole pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.methods.outliers import ranks, relative_mahalanobis
from tasks.methods.prototypes import mean_prototypes

NO_DISTANCE = 1e-7  # of cosines in float32, nearer is the same


@dataclass(frozen=True)
class Known:
    """What is known of n rows.

    embeddings (n, d) of unit length; logits (n, K) by a probe that never saw the row; members (n,) int: the concept under which a row is
    kept so far, -1 = not kept; weights (n,): what a row counts for, 0 = it shapes nothing; neighbors (n, m) int64, nearest first, -1 =
    none; similarities (n, m); groups (n,) int of copies; texts (K, d): the concepts' text prototypes in the same space.
    """

    embeddings: np.ndarray
    logits: np.ndarray
    members: np.ndarray
    weights: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray
    groups: np.ndarray
    texts: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(n,) bool: the rows that shape statistics and ranks."""
        return np.asarray((self.members >= 0) & (self.weights > 0))


@dataclass(frozen=True)
class OodSettings:
    """temperature of energy; gen_power and gen_top (g and M of GEN); n_neighbors (k of kNN and of the mean
    distance); shrinkage of covariances towards a sphere; n_principal directions that ViM leaves out; n_dims, n_steps of the mixture;
    text_temperature (tau of MCM)."""

    temperature: float
    gen_power: float
    gen_top: int
    n_neighbors: int
    shrinkage: float
    n_principal: int
    n_dims: int
    n_steps: int
    text_temperature: float


def max_probability(known: Known, _settings: OodSettings) -> np.ndarray:
    """MSP: the greatest probability (Hendrycks and Gimpel 2017)."""
    return np.asarray(_softmax(known.logits).max(1))


def max_logit(known: Known, _settings: OodSettings) -> np.ndarray:
    """The greatest logit, as a rank (Hendrycks et al. 2022)."""
    return ranks(known.logits.max(1), known.kept)


def energy(known: Known, settings: OodSettings) -> np.ndarray:
    """T times the log of the summed exponentials of the logits over T, as a rank (Liu et al. 2020)."""
    return ranks(_energy(known.logits, settings.temperature), known.kept)


def generalised_entropy(known: Known, settings: OodSettings) -> np.ndarray:
    """GEN: 1 less the sum over the M most probable concepts of p^g (1 - p)^g, over its bound M / 4^g (Liu, Lochman and Zach 2023)."""
    top = -np.sort(-_softmax(known.logits), axis=1)[:, : settings.gen_top]
    spread = ((top * (1 - top)) ** settings.gen_power).sum(1)
    return np.asarray(np.clip(1 - spread / (top.shape[1] * 0.25**settings.gen_power), 0.0, 1.0))


def nearest_neighbor(known: Known, settings: OodSettings) -> np.ndarray:
    """KNN: similarity of the k-th nearest kept row that is no copy, as a rank; 0 where the graph has fewer (Sun et al. 2022)."""
    there = np.maximum(known.neighbors, 0)
    counts = (known.neighbors >= 0) & known.kept[there] & (known.groups[there] != known.groups[:, None])
    is_kth = counts & (np.cumsum(counts, axis=1) == settings.n_neighbors)
    return ranks((known.similarities * is_kth).sum(1), known.kept)


def neighbor_distance(known: Known, settings: OodSettings) -> np.ndarray:
    """Datalab's: mean cosine distance to the k nearest kept rows that are no copies, as `distance_scores`; 0 where the graph has none.

    Kuan and Mueller 2022, "Back to the basics: revisiting out-of-distribution detection baselines", with a bank of kept rows alone.
    """
    there = np.maximum(known.neighbors, 0)
    counts = (known.neighbors >= 0) & known.kept[there] & (known.groups[there] != known.groups[:, None])
    counts &= np.cumsum(counts, axis=1) <= settings.n_neighbors
    n_near = counts.sum(1)
    distances = ((1 - known.similarities) * counts).sum(1) / np.maximum(n_near, 1)
    return np.where(n_near > 0, distance_scores(distances, known.kept & (n_near > 0)), 0.0)


def distance_scores(distances: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(n,) float64 in [0, 1]: exponential of minus each distance over the kept rows' median; 1 for distances of rounding alone.

    distances (n,) of 0 or more; kept (n,) bool.
    """
    usual = float(np.median(distances[kept])) if kept.any() else 1.0
    scores = np.exp(-distances / max(usual, NO_DISTANCE))
    return np.asarray(np.where(distances < NO_DISTANCE, 1.0, scores))


def mahalanobis(known: Known, settings: OodSettings) -> np.ndarray:
    """Distance to the nearest concept's mean by a shared covariance, as a rank (Lee et al. 2018)."""
    if not known.kept.any():
        return np.full(len(known.members), 0.5)
    return ranks(-_class_distances(known, settings.shrinkage).min(1), known.kept)


def background_mahalanobis(known: Known, settings: OodSettings) -> np.ndarray:
    """Relative Mahalanobis: that distance less the one to the background, as a rank (Ren et al. 2021)."""
    shares = _one_hot(known) * known.weights[:, None]
    return ranks(relative_mahalanobis(known.embeddings, shares, known.weights, shrinkage=settings.shrinkage), known.kept)


def virtual_logit(known: Known, settings: OodSettings) -> np.ndarray:
    """ViM: energy less the scaled length outside the kept rows' principal directions, as a rank (Wang et al. 2022).

    Directions are taken about the kept rows' mean, since a probe on standardised features has no origin of its own.
    """
    kept = known.kept
    if not kept.any():
        return np.full(len(kept), 0.5)
    offsets, directions, _ = _principal(known)
    outside = offsets @ directions[:, min(settings.n_principal, directions.shape[1] - 1) :]
    length = np.linalg.norm(outside, axis=1)
    scale = known.logits[kept].max(1).mean() / max(float(length[kept].mean()), 1e-12)
    return ranks(_energy(known.logits, 1.0) - abs(scale) * length, kept)


def mixture(known: Known, settings: OodSettings) -> np.ndarray:
    """Log likelihood under a mixture of normals with one covariance, one component per concept, on the kept rows' whitened principal
    directions, as a rank; EM (Dempster, Laird and Rubin 1977) starts from the concepts' means.

    The mixture with a common covariance is that of Hastie and Tibshirani 1996, "Discriminant analysis by Gaussian mixtures", without its
    discriminant: a row's concept is only where EM starts.
    """
    kept = known.kept
    if not kept.any():
        return np.full(len(kept), 0.5)
    offsets, directions, spreads = _principal(known)
    n_dims = min(settings.n_dims, int((spreads > 1e-9 * max(float(spreads.max()), 1e-30)).sum()))
    latents = offsets @ directions[:, :n_dims] / np.sqrt(np.maximum(spreads[:n_dims], 1e-30))
    own, weights = latents[kept], known.weights[kept]
    belongs = _one_hot(known)[kept]
    belongs = belongs[:, belongs.sum(0) > 0]
    for _ in range(settings.n_steps):
        means, precision, shares = _components(own, belongs * weights[:, None], settings.shrinkage)
        joint = _log_joint(own, means, precision, shares)
        belongs = np.exp(joint - _log_sum(joint)[:, None])
    return ranks(_log_sum(_log_joint(latents, means, precision, shares)), kept)


def concept_matching(known: Known, settings: OodSettings) -> np.ndarray:
    """MCM: the greatest softmax of the similarities to the concepts' texts over tau (Ming et al. 2022)."""
    return np.asarray(_softmax(known.embeddings @ known.texts.T / settings.text_temperature).max(1))


def prototype_similarity(known: Known, _settings: OodSettings) -> np.ndarray:
    """Half of 1 plus the cosine to the nearest concept's mean kept image: the nearest class mean of Mensink et al. 2013, by cosine."""
    members = np.where(known.kept, known.members, -1)
    prototypes = mean_prototypes(known.embeddings, members, n_prototypes=known.logits.shape[1])
    present = np.linalg.norm(prototypes, axis=1) > 0
    if not present.any():
        return np.full(len(members), 0.5)
    return np.asarray(np.clip((1 + (known.embeddings @ prototypes[present].T).max(1)) / 2, 0.0, 1.0))


SCORES: dict[str, Callable[[Known, OodSettings], np.ndarray]] = {
    "msp": max_probability,
    "max_logit": max_logit,
    "energy": energy,
    "gen": generalised_entropy,
    "knn": nearest_neighbor,
    "neighbor_distance": neighbor_distance,
    "mahalanobis": mahalanobis,
    "relative_mahalanobis": background_mahalanobis,
    "vim": virtual_logit,
    "gmm": mixture,
    "mcm": concept_matching,
    "prototype": prototype_similarity,
}


def _softmax(logits: np.ndarray) -> np.ndarray:
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(chance / chance.sum(1, keepdims=True))


def _energy(logits: np.ndarray, temperature: float) -> np.ndarray:
    return temperature * _log_sum(logits / temperature)


def _log_sum(values: np.ndarray) -> np.ndarray:
    top = values.max(1)
    return np.asarray(top + np.log(np.exp(values - top[:, None]).sum(1)))


def _one_hot(known: Known) -> np.ndarray:
    return np.where(known.kept[:, None], np.eye(known.logits.shape[1])[np.maximum(known.members, 0)], 0.0)


def _class_distances(known: Known, shrinkage: float) -> np.ndarray:
    shares = _one_hot(known) * known.weights[:, None]
    shares = shares[:, shares.sum(0) > 0]
    x = known.embeddings.astype(np.float64)
    means, precision, _ = _components(x[known.kept], shares[known.kept], shrinkage)
    return _distances(x, means, precision)


def _principal(known: Known) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows less the kept rows' mean (n, d), directions (d, d) of falling spread, spreads (d,))."""
    x = known.embeddings.astype(np.float64)
    weights = np.where(known.kept, known.weights, 0.0)
    offsets = x - np.average(x, axis=0, weights=weights)
    spreads, directions = np.linalg.eigh((offsets * weights[:, None]).T @ offsets / weights.sum())
    return offsets, directions[:, ::-1], np.maximum(spreads[::-1], 0.0)


def _components(x: np.ndarray, shares: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(means (k, d), precision (d, d), shares (k,)) of the components to which rows belong by `shares` (n, k)."""
    total = np.maximum(shares.sum(0), 1e-12)
    means = shares.T @ x / total[:, None]
    scatter = (x * shares.sum(1)[:, None]).T @ x - (means * total[:, None]).T @ means
    covariance = scatter / total.sum()
    sphere = max(float(np.trace(covariance)) / max(len(covariance), 1), 1e-12) * np.eye(len(covariance))
    return means, np.linalg.inv((1 - shrinkage) * covariance + shrinkage * sphere + 1e-9 * sphere), total / total.sum()


def _distances(x: np.ndarray, means: np.ndarray, precision: np.ndarray) -> np.ndarray:
    return np.stack([np.einsum("nd,nd->n", (x - mean) @ precision, x - mean) for mean in means], axis=1)


def _log_joint(x: np.ndarray, means: np.ndarray, precision: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(shares) + (np.linalg.slogdet(precision)[1] - _distances(x, means, precision)) / 2)
