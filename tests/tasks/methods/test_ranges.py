"""Settings inside their ranges pass, others name themselves."""

from dataclasses import dataclass

import pytest

from tasks.methods.ranges import check


@dataclass(frozen=True)
class Knob:
    method: str
    turn: float


@pytest.mark.parametrize(
    ("value", "how", "said"),
    [
        (-0.1, {}, "turn of knob is -0.1: it must be a number from 0 to 2"),
        (0.0, {"open_start": True}, "turn of knob is 0.0: it must be a number above 0 to 2"),
        (2.0, {"open_end": True}, "turn of knob is 2.0: it must be a number from 0 to below 2"),
        (float("nan"), {}, "turn of knob is nan"),
    ],
)
def test_what_lies_outside_names_itself_and_the_range(value: float, how: dict[str, bool], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(Knob("knob", value), "turn", 0, 2, **how)


def test_ends_belong_to_the_range_unless_they_are_open() -> None:
    for value in (0.0, 2.0):
        check(Knob("knob", value), "turn", 0, 2)
    check(Knob("knob", 1e9), "turn", 0)
