"""DataComp's lines: keys and figures by hand."""

import json

import numpy as np
import pytest

from tasks.methods.result_lines import classification_line, retrieval_line


def test_a_classification() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.4, 0.3, 0.3]])
    line = json.loads(classification_line("curated-0", "in_domain_test", probabilities, np.array([0, 1, 2, -1])))
    assert line["key"] == "in_domain_test"
    assert line["dataset"] == "in domain test"
    assert line["model"] == "curated-0"
    assert line["metrics"] == pytest.approx({"acc1": 0.5, "acc5": 0.75, "mean_per_class_recall": 0.5, "main_metric": 0.5})


def test_a_retrieval() -> None:
    recalls = {"image_to_text_recall_1": 0.2, "text_to_image_recall_1": 0.4, "image_to_text_recall_5": 0.9}
    line = json.loads(retrieval_line("encoder", "retrieval", recalls))
    assert line["metrics"]["main_metric"] == pytest.approx(0.3)
    assert line["metrics"]["image_to_text_recall_5"] == 0.9
