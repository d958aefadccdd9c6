"""Text from outside, shown."""

import time

from tasks.methods.harmless import clip, defused, visible


def test_what_can_not_be_seen_is_written_out():
    assert visible("\x1b]0;owned\x07\x9b\u202egpj\u2066\U000e0041\ud800") == "\\x1b]0;owned\\x07\\x9b\\u202egpj\\u2066\\U000e0041\\ud800"
    assert visible("café 猫 👩\u200d🚀 עברית") == "café 猫 👩\u200d🚀 עברית"


def test_clipped_to_one_line():
    assert clip("  a\n\tb  c ") == "a b c"
    assert clip("x" * 100, 10) == "x" * 9 + "…"
    assert clip(None) == ""
    assert clip("\u202e" * 100, 20) == "\\u202e\\u202e\\u202e\\…"


def test_a_long_text_is_not_walked_through():
    began = time.perf_counter()
    assert len(clip("\u202e" * 5_000_000, 60)) == 60
    assert clip(" " * 5_000_000 + "x", 60) == "…"  # there is more than can be seen, and the mark says so
    assert time.perf_counter() - began < 0.5


def test_no_cell_is_a_formula():
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1"):
        assert defused(text).startswith("'"), text
    assert defused("a=b") == "a=b"
    assert defused("two\nlines\tand \x1b[31m") == "two\nlines\tand \\x1b[31m"
