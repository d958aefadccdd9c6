"""Map the pictures: two dimensions out of their embeddings, by principal components, drawn with a colour per decision."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT, EDGE = 640, 460, 10  # units of the drawing
GROUPS = ("kept", "label_noise", "out_of_distribution", "duplicate", "other")


def project(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, 2) float64 first two principal components of `vectors` (n, d), and the share of the variance that they hold.

    Signs are fixed by each component's largest loading, so that equal vectors give an equal map. Fewer than two rows lie at the origin.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros((n, 2)), 0.0
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(0)
    values, components = np.linalg.eigh(centred.T @ centred)
    top = components[:, np.argsort(-values, kind="stable")[:2]]
    top = top * np.where(top[np.abs(top).argmax(0), np.arange(top.shape[1])] < 0, -1.0, 1.0)
    placed = centred @ top
    if placed.shape[1] < 2:
        placed = np.pad(placed, ((0, 0), (0, 1)))
    total = float(values.sum())
    return placed, float(np.sort(values)[::-1][:2].sum() / total) if total > 0 else 0.0


def group_of(reason: str | None) -> str:
    """The colour's group of a row: kept, one of the frequent reasons, or other."""
    return "kept" if reason is None else reason if reason in GROUPS else "other"


def chart(points: np.ndarray, groups: Sequence[str]) -> dict[str, Markup]:
    """One SVG group of dots per group of rows that occurs, in the same frame; `points` (n, 2) are scaled to fill it."""
    low, high = (points.min(0), points.max(0)) if len(points) else (np.zeros(2), np.ones(2))
    spread = np.where(high > low, high - low, 1.0)
    places = (points - low) / spread * [WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE] + EDGE
    found = {}
    for group in GROUPS:
        dots = [f"M{x:.1f} {HEIGHT - y:.1f}h0" for (x, y), own in zip(places, groups, strict=True) if own == group]
        if dots:
            found[group] = Markup(f'<path class="dots {escape(group)}" d="{"".join(dots)}"/>')
    return found
