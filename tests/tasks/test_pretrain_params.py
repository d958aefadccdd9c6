"""The settings of `pretrain` fit together."""

import pytest
import yaml

from tasks.core.errors import ParamsError
from tasks.core.params import section
from tasks.pretrain_params import PretrainParams


@pytest.fixture
def values(repo):
    return yaml.safe_load((repo / "params.yaml").read_text())


def test_params_yaml_fits_and_every_arm_has_its_recipe(values):
    params = section(PretrainParams, "pretrain", values)
    for arm in params.arms.values():
        assert params.recipe(arm).samples_seen == params.samples_seen
        assert (params.start(arm) is None) == (arm.start == "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_shift": 5000}, "max_shift 5000 must be smaller than image_size"),
        ({"losses": {}}, "asks for loss '.*', which is not among `losses`"),
        ({"batch_size": 1}, "pretrain.batch_size"),
        (
            {"arms": {"raw": {"rows": "raw", "weighted": False, "loss": "rcal", "logit_adjustment": 0.0, "start": "none"}}},
            r"arm 'raw': loss 'rcal' calibrates features .*, of which start 'none' gives none: name a start of method simclr",
        ),
        (
            {"arms": {"raw": {"rows": "raw", "weighted": False, "loss": "rcal", "logit_adjustment": 0.0, "start": "teacher"}}},
            "start 'teacher' gives none: name a start of method simclr",
        ),
    ],
)
def test_what_does_not_fit_is_named(values, change, message):
    values["pretrain"] |= change
    with pytest.raises(ParamsError, match=message):
        section(PretrainParams, "pretrain", values)
