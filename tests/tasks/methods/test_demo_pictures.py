"""Pictures are a function of subject and id, vary within a subject, and need nothing but the packages."""

import numpy as np
import pytest

from tasks.methods.demo_clean import CONCEPTS, NEAR_CONCEPTS
from tasks.methods.demo_pictures import make_picture, seed_of, subjects
from tasks.methods.demo_web import OFF_TOPIC, OTHER_SENSE


@pytest.mark.parametrize("subject", subjects())
def test_every_subject_gives_varied_pictures(subject):
    pictures = [make_picture(subject=subject, picture_id=f"test/{number}") for number in range(8)]
    assert len({picture.shape for picture in pictures}) > 4
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert all(96 <= side <= 160 for side in picture.shape[:2])
    assert np.mean([picture.std() for picture in pictures]) > 4  # grey levels: no empty sheets


def test_equal_ids_give_equal_pixels_and_other_ids_others():
    one, again, other = (make_picture(subject="cat", picture_id=name) for name in ("a", "a", "b"))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert seed_of("a", 1) == seed_of("a", "1") != seed_of("a", 2)


def test_subjects_are_those_of_concepts_near_sets_and_off_topic_pictures():
    assert {*CONCEPTS, *NEAR_CONCEPTS, *OFF_TOPIC, OTHER_SENSE} == set(subjects())
    assert not {*CONCEPTS, *NEAR_CONCEPTS} & {*OFF_TOPIC, OTHER_SENSE}


def test_an_unknown_subject_is_named():
    with pytest.raises(ValueError, match="no picture of 'unicorn': take one of astronaut, badge, cat"):
        make_picture(subject="unicorn", picture_id="a")


def test_mean_colour_alone_gives_no_subject_away():
    """Five subjects, so chance is 0.2; a small network on the pixels reaches about 0.9 on eleven."""
    chosen = ("cat", "coffee", "horse", "pagoda", "rocket")
    colours = {name: _mean_colours(name, range(40)) for name in chosen}
    centres = np.stack([colours[name].mean(axis=0) for name in chosen])
    tests = [(place, _mean_colours(name, range(100, 120))) for place, name in enumerate(chosen)]
    hits = [np.argmin(((row - centres) ** 2).sum(axis=1)) == place for place, rows in tests for row in rows]
    assert 0.15 < np.mean(hits) < 0.65


def _mean_colours(subject, numbers):
    return np.stack([make_picture(subject=subject, picture_id=f"colour/{number}").mean(axis=(0, 1)) for number in numbers])
