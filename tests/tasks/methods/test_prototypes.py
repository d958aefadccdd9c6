"""CAPro offline: by hand, and on a word whose wrong sense fills most of its images."""

import numpy as np
import pytest

from tasks.methods.prototypes import (
    choose_anchors,
    cleaned,
    concept_prompts,
    fit_temperature,
    mean_prototypes,
    normalized,
    prototype_probs,
    smooth_texts,
    text_fit,
)


def test_the_rule_by_the_worked_example():
    mixed = np.array([[0.10, 0.775, 0.075, 0.05]])
    given, free = np.array([0]), np.array([False])
    assert cleaned(mixed, given, free, min_probability=0.6, min_keep=0.25).tolist() == [1]
    assert cleaned(mixed, given, free, min_probability=0.9, min_keep=0.25).tolist() == [-1]
    assert cleaned(mixed, given, ~free, min_probability=0.6, min_keep=0.25).tolist() == [0]


def test_a_text_comes_from_the_neighbours_not_from_itself():
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    neighbors, similarities = np.array([[1, 2], [0, 2], [-1, -1]]), np.array([[0.9, 0.8], [0.5, 0.5], [0, 0]], np.float32)
    smoothed = smooth_texts(texts, np.array([True, True, False]), neighbors, similarities, n_neighbors=2)
    assert smoothed == pytest.approx(np.array([[0, 1], [1, 0], [0, 0]]))


def test_a_wrong_sense_that_fills_most_of_a_concept_does_not_become_its_picture():
    rng = np.random.default_rng(0)
    right, wrong = np.eye(8)[0], np.eye(8)[1]
    shows_right = rng.random(200) < 0.3
    images = normalized(np.where(shows_right[:, None], right, wrong) + rng.normal(0, 0.2, (200, 8)))
    given, fit_to = np.zeros(200, np.int64), normalized((right + 0.3 * wrong)[None, :])
    fit, passes = text_fit(images, images, given, fit_to, wrong[None, :].astype(np.float32), np.array([0]))
    anchors = choose_anchors(fit, passes, given, np.arange(200), np.ones(200, bool), n_anchors=20, max_share=0.2)
    assert anchors.sum() == 20
    assert shows_right[anchors].all()
    prototype = mean_prototypes(images, np.where(anchors, 0, -1), n_prototypes=1)[0]
    assert prototype @ right > 0.9 > 0.5 > images.mean(0) @ right


def test_anchors_are_one_of_each_group_and_usable():
    fit, given = np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4, np.int64)
    usable = np.array([True, True, False, True])
    anchors = choose_anchors(fit, np.ones(4, bool), given, np.array([0, 0, 1, 2]), usable, n_anchors=3, max_share=1.0)
    assert anchors.tolist() == [True, False, False, True]


def test_the_temperature_reaches_its_target():
    similarities = np.random.default_rng(0).uniform(-0.2, 0.4, (300, 6))
    temperature = fit_temperature(similarities, target=0.9)
    assert prototype_probs(similarities, temperature).max(1).mean() == pytest.approx(0.9, abs=0.01)


def test_prompts_name_parent_and_definition():
    prompts = concept_prompts("rocket", "a salad leaf", ["arugula"], "plant")
    assert prompts == ["a photo of a rocket, a kind of plant", "rocket: a salad leaf", "a photo of a arugula"]
