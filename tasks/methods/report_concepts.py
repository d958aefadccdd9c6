"""Describe concepts: each one's words, figures and anchors, and how its prototype lies among the others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NO_ROWS = dict.fromkeys(("n_rows", "n_kept", "n_judged", "n_right"), 0)


def concept_cards(
    *,
    words: Sequence[Mapping[str, Any]],
    figures: Sequence[Mapping[str, Any]],
    anchors: Mapping[str, Sequence[Mapping[str, Any]]],
    prototypes: Sequence[Mapping[str, Any]],
    limit: int,
) -> list[dict[str, Any]]:
    """A card for each of the `limit` concepts with most rows, by name.

    `words` has name, definition and distractors; `prototypes` concept, kind, embedding (L2-normalised) and n_images. `agreement` is the
    cosine similarity of a concept's text and visual prototype, `nearness` that of its visual prototype and the nearest other's.
    """
    per_concept = {row["concept"]: row for row in figures}
    visual = {row["concept"]: row for row in prototypes if row["kind"] == "visual"}
    texts = {row["concept"]: np.array(row["embedding"]) for row in prototypes if row["kind"] == "text"}
    names = sorted(visual)
    vectors = np.array([visual[name]["embedding"] for name in names])
    shown = sorted(words, key=lambda one: (-per_concept.get(one["name"], NO_ROWS)["n_rows"], one["name"]))[:limit]
    cards = []
    for one in sorted(shown, key=lambda one: one["name"]):
        name = one["name"]
        card: dict[str, Any] = {**one, **NO_ROWS, **per_concept.get(name, {}), "anchors": anchors.get(name, [])}
        card |= {"n_anchors": None, "agreement": None, "nearest": None, "nearness": None}
        if name in visual:
            own = np.array(visual[name]["embedding"])
            card |= {"n_anchors": visual[name]["n_images"], "agreement": float(own @ texts[name]) if name in texts else None}
            others = [(float(alike), other) for alike, other in zip(vectors @ own, names, strict=True) if other != name]
            if others:
                card["nearness"], card["nearest"] = max(others)
        cards.append(card)
    return cards
