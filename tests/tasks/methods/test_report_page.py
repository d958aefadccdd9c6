"""Words from outside are tamed, figures are put as people write them."""

from tasks.methods.reasons import Reason
from tasks.methods.report_page import MEANINGS, count, number, percent, words


def test_figures():
    assert count(1234567) == "1\u202f234\u202f567"
    assert percent(0.256) == "26\u202f%"
    assert percent(0.0001) == "<1\u202f%"
    assert percent(0.0) == "0\u202f%"
    assert percent(0.00049, 1) == "<0.1\u202f%"
    assert percent(None) == "–"
    assert number(0.12345) == "0.123"
    assert number(12345.6) == "12\u202f345"
    assert number(None) == "–"
    assert words("out_of_distribution") == "out of distribution"


def test_every_reason_has_a_meaning():
    assert list(MEANINGS) == list(Reason)
