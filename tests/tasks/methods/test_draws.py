"""Draws by hash: even, and of nothing but name and salt."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.draws import draws


@given(st.lists(st.text(), max_size=20), st.randoms())
def test_a_draw_is_its_names_alone(names, random):
    by_name = dict(zip(names, draws(names, salt="a"), strict=True))
    random.shuffle(names)
    again = draws([*names, "one more"], salt="a")
    assert [by_name[name] for name in names] == again[:-1].tolist()
    assert ((again >= 0) & (again < 1)).all()


def test_draws_are_even_and_differ_between_salts():
    names = [str(number) for number in range(4000)]
    first, second = draws(names, salt="a"), draws(names, salt="b")
    assert np.histogram(first, bins=8, range=(0, 1))[0].min() > 420
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06
    assert draws([], salt="a").shape == (0,)
    assert draws(["b"], salt="a") != draws(["ab"], salt="")
