"""A queue of a budget's size, out of the rows in doubt that nobody has judged."""

from pathlib import Path

import pytest

from tasks.commands.desk import ProjectDesk
from tasks.commands.review_budget import drawn_for
from tasks.core.errors import SluiceError
from tests.tasks.commands.test_desk import make_desk
from tests.tasks.test_catalog import ids


def test_the_queue_holds_the_budget_and_no_more(project: Path) -> None:
    make_desk()
    first, second, third = ids(0, 1, 2)  # worth 0.2, 0.9 and 0.5
    assert drawn_for(3, 0) == [second, third, first]
    assert drawn_for(2, 0) == [second, third]
    assert set(drawn_for(1, None)) <= {second, third}
    assert set(drawn_for(9, 9)) == {first, second, third}
    assert drawn_for(9, 1) == drawn_for(9, 1)
    desk = ProjectDesk("ada", drawn_for(2, 0))
    assert desk.n_waiting() == 2
    for wanted in (second, third):
        row = desk.next_in_queue()
        assert row is not None
        assert row["sample_id"] == wanted
        desk.say(wanted, "dropped", None)
    assert desk.next_in_queue() is None
    assert drawn_for(2, 0) == [first]  # what was said just now is not asked again


def test_a_budget_that_can_not_be(project: Path) -> None:
    make_desk()
    with pytest.raises(SluiceError, match="a budget of 0 verdicts, 1 of them wrong, can't be"):
        drawn_for(0, None)
    with pytest.raises(SluiceError, match="a budget of 2 verdicts, -1 of them wrong, can't be"):
        drawn_for(2, -1)
