"""What a step may be given, and what is refused."""

import pytest

from tasks.methods.step_settings import Distillation, ViewContrast


def test_values_inside_their_ranges_are_taken() -> None:
    assert ViewContrast("view_contrast", 1, 0.1).width == 1
    assert Distillation("distillation", 2.0, 1.0) == Distillation("distillation", 2.0, 1.0)


def test_values_outside_name_themselves_and_the_range() -> None:
    with pytest.raises(ValueError, match=r"temperature of view_contrast is 0.0: it must be a number above 0"):
        ViewContrast("view_contrast", 8, 0.0)
    with pytest.raises(ValueError, match=r"teacher_share of distillation is 1.5: it must be a number from 0 to 1"):
        Distillation("distillation", 1.0, 1.5)
