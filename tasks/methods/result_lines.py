"""Write results as DataComp does: a JSON line per data set with its metrics, out of predictions (Gadre et al. 2023, eval_results.jsonl)."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def classification_line(model: str, name: str, probabilities: np.ndarray, classes: np.ndarray) -> str:
    """acc1, acc5 and mean_per_class_recall of probabilities (n, k) for true classes (n,), -1 = a concept the model doesn't know."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    first, among = ranked[:, 0] == classes, (ranked[:, :5] == classes[:, None]).any(1)
    recalls = [float(first[classes == k].mean()) for k in np.unique(classes)]
    found = {"acc1": float(first.mean()), "acc5": float(among.mean()), "mean_per_class_recall": float(np.mean(recalls))}
    return _line(model, name, {**found, "main_metric": found["acc1"]})


def retrieval_line(model: str, name: str, recalls: Mapping[str, float]) -> str:
    """Recalls by name; the main metric is the mean of those at 1, both ways."""
    at_one = [value for key, value in recalls.items() if key.endswith("_recall_1")]
    return _line(model, name, {**recalls, "main_metric": float(np.mean(at_one)) if at_one else None})


def _line(model: str, name: str, metrics: Mapping[str, Any]) -> str:
    return json.dumps({"key": name, "dataset": name.replace("_", " "), "model": model, "metrics": dict(metrics)}, sort_keys=True)
