"""Judge labels by CLIP's margin and by DataComp's filters, for benchmarks.detectors: what a filter keeps is 1, what it drops 0."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.curation import REPO
from benchmarks.detector_scores import Signals
from benchmarks.detector_tables import Loaded
from tasks.methods.arms import FILTERED, passing
from tasks.methods.filters import text_margins


def baseline_methods(loaded: Loaded, params: Path = REPO / "params.yaml") -> dict[str, Callable[[], Signals]]:
    """Every method by name; limits are those of `pretrain.filters`. DataComp's are no part of the mean rank of all."""
    s, limits = loaded.samples, YAML(typ="safe").load(params)["pretrain"]["filters"]
    words = [word for concept in loaded.known for word in (concept.name, *concept.synonyms)]
    fits, vectors = loaded.fits, (s.sample_ids, s.embeddings)

    def margin() -> Signals:
        return Signals(percentiles(text_margins(s.embeddings, loaded.text_prototypes, s.given), s.given))

    def kept(name: str) -> Signals:
        passed = passing(loaded.captioned, fits, vectors, loaded.meant, rows=name, words=words, **limits)
        return Signals(passed.astype(np.float64))

    filters: dict[str, Any] = {f"datacomp_{name}": lambda name=name: kept(name) for name in FILTERED if name != "clip_margin"}
    return {"clip_margin": margin, **filters}


def percentiles(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) float64 in (0, 1]: the share of the rows of its own group that have no larger value; 0.5 where the value is nan."""
    found = np.full(len(values), 0.5)
    for group in np.unique(groups[~np.isnan(values)]):
        rows = np.flatnonzero(groups == group)
        found[rows] = np.searchsorted(np.sort(values[rows]), values[rows], "right") / len(rows)
    return found
