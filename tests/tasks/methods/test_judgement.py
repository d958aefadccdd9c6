"""Figures of models and encoders; the stage's test sees them on whole sets."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tasks.methods.backbones import build_network
from tasks.methods.clean_sets import CleanSet
from tasks.methods.judgement import Model, doubt_figures, encoder_lines, in_domain_figures, open_set_figures


def pictures_of(name: str, concepts: list[str]) -> CleanSet:
    images = []
    for number in range(len(concepts)):
        stream = BytesIO()
        Image.fromarray(np.full((16, 16, 3), 10 * number, np.uint8)).save(stream, "PNG")
        images.append(stream.getvalue())
    return CleanSet(name, images, [""] * len(images), concepts)


@pytest.fixture
def model() -> Model:
    return Model(build_network("resnet9-2", 2, seed=0), ["cat", "dog"], 16, "fp32", "cpu")


def test_unknown_concepts_count_as_wrong() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    figures = in_domain_figures(probabilities, np.array([0, 1, -1]), ["cat", "dog"], n_bins=10)
    assert figures["in_domain_accuracy"] == pytest.approx(2 / 3)
    assert figures["per_concept_accuracy"] == {"cat": 1.0, "dog": 1.0}


def test_pictures_of_known_concepts_are_left_out_of_the_open_set(model: Model) -> None:
    clean = pictures_of("clean", ["cat", "dog"])
    probabilities = np.array([[0.99, 0.01], [0.01, 0.99]])
    mixed = open_set_figures(model, probabilities, clean, pictures_of("others", ["cat", "emu", "gnu"]))
    assert mixed["auroc"] == 1.0
    assert mixed["c_f1"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="open set 'others' shows nothing but concepts that the models know: name another one"):
        open_set_figures(model, probabilities, clean, pictures_of("others", ["cat", "dog"]))


def test_doubt_counts_pictures(model: Model) -> None:
    clean = pictures_of("clean", ["cat", "dog"] * 5)
    figures = doubt_figures(model, clean, np.tile([[0.9, 0.1]], (10, 1)), n_folds=2, penalty=0.1, max_iterations=20, seed=0)
    assert 0 <= figures["in_doubt"] <= 10
    assert figures["accuracy_without"] is None or 0 <= figures["accuracy_without"] <= 1


def test_an_encoder_without_texts_has_no_line() -> None:
    assert encoder_lines({"zero_shot_accuracy": 0.5}) == []
    assert len(encoder_lines({"image_to_text_recall_1": 0.5, "text_to_image_recall_1": 0.7})) == 1
