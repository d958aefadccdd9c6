"""The settings of `score` say what they can't be."""

import pytest
import yaml

from tasks.core.errors import ParamsError
from tasks.core.params import section
from tasks.score_params import ScoreParams


@pytest.fixture
def values(repo):
    return yaml.safe_load((repo / "params.yaml").read_text())


def test_params_yaml_fits(values):
    assert section(ScoreParams, "score", values).calibration.draws >= 2


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("network", "widths"), [32, 64, 128], "score.network.widths"),
        (("calibration", "draws"), 1, "score.calibration.draws"),
        (("calibration", "share"), 1.0, "score.calibration.share"),
        (("learned", "folds"), 1, "score.learned.folds"),
        (("predictor",), "oracle", "score.predictor"),
    ],
)
def test_what_cannot_be_is_named(values, place, value, message):
    inner = values["score"]
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(ParamsError, match=message):
        section(ScoreParams, "score", values)
