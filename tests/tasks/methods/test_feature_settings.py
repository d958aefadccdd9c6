"""What losses that look below the head may be given, and what is refused."""

from typing import Any

import pytest

from tasks.methods.feature_settings import OpenTargets, RepresentationCalibration

REPRESENTATION = {"outlier_share": 0.2, "head_rows": 100, "n_heads": 3, "spread": 0.1, "virtual_share": 0.5, "closeness": 0.1}
OPEN = {"warmup_epochs": 5.0, "min_clean": 0.2, "min_separation": 1.0, "per_concept": False, "momentum": 0.5, "width": 128}
OPEN |= {"min_closed": 0.95, "min_open": 0.5, "open_strength": 1.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outlier_share": 1.0}, "outlier_share of representation_calibration is 1.0: it must be a number from 0 to below 1"),
        ({"head_rows": 0}, "head_rows of representation_calibration is 0: it must be a number from 1"),
        ({"n_heads": -1}, "n_heads of representation_calibration is -1"),
        ({"spread": 0.0}, "spread of representation_calibration is 0.0: it must be a number above 0"),
        ({"virtual_share": 1.5}, "virtual_share of representation_calibration is 1.5: it must be a number from 0 to 1"),
        ({"closeness": -0.1}, "closeness of representation_calibration is -0.1"),
    ],
)
def test_a_calibration_outside_its_ranges_is_refused(change: dict[str, Any], said: str) -> None:
    RepresentationCalibration("representation_calibration", **REPRESENTATION)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        RepresentationCalibration("representation_calibration", **REPRESENTATION | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"warmup_epochs": 0.5}, "warmup_epochs of open_targets is 0.5: it must be a number from 1"),
        ({"min_clean": 1.1}, "min_clean of open_targets is 1.1"),
        ({"min_separation": -1.0}, "min_separation of open_targets is -1.0"),
        ({"momentum": 1.0}, "momentum of open_targets is 1.0: it must be a number from 0 to below 1"),
        ({"width": 0}, "width of open_targets is 0: it must be a number from 1"),
        ({"min_closed": -0.1}, "min_closed of open_targets is -0.1"),
        ({"min_open": 2.0}, "min_open of open_targets is 2.0: it must be a number from 0 to 1"),
        ({"open_strength": -1.0}, "open_strength of open_targets is -1.0"),
    ],
)
def test_open_targets_outside_their_ranges_are_refused(change: dict[str, Any], said: str) -> None:
    OpenTargets("open_targets", **OPEN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        OpenTargets("open_targets", **OPEN | change)
