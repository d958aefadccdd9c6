"""What reaches a terminal, a spreadsheet or a JSON reader can do no harm there."""

import json
import math

import pytest

from tasks.commands.output import printable, write_csv, write_json, write_sections, write_table

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egpj.exe\nnext"


def test_controls_are_written_out() -> None:
    assert printable(HOSTILE) == "\\x1b]0;owned\\x07\\x9b31m\\u202egpj.exe\\x0anext"
    assert printable("café 猫 🙂") == "café 猫 🙂"
    assert (printable(None), printable(0.123456789), printable(True), printable(["a\x07", 0.5])) == ("", "0.123457", "True", "a\\x07, 0.5")


def test_plain_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(("name", "n"), [("cat", 12), ("a\x1bb", None), ("x" * 100, 1)])
    long = "x" * 79 + "…"
    lines = ["name".ljust(80) + "  n", "-" * 80 + "  --", "cat".ljust(80) + "  12", "a\\x1bb", f"{long}  1"]
    assert capsys.readouterr().out.splitlines() == lines
    write_table(("name", "n"), [])
    assert capsys.readouterr().out == "name  n\n----  -\n"


def test_csv_cells_are_no_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(("=head", "n"), [("=1+1", -5), ("+x", -0.5), ("@x", None), ("\tx", 1), ("a,b", 2), ("fine", ["=x"])])
    assert capsys.readouterr().out.splitlines() == ["'=head,n", "'=1+1,-5", "'+x,-0.5", "'@x,", "'\tx,1", '"a,b",2', 'fine,"[""=x""]"']


def test_json_is_json_and_holds_no_control(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(("text", "score", "raw"), [(HOSTILE, math.nan, b"\x01"), ("猫", 0.5, None)])
    out = capsys.readouterr().out
    assert json.loads(out) == [{"text": HOSTILE, "score": None, "raw": "01"}, {"text": "猫", "score": 0.5, "raw": None}]
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out)
    assert "猫" in out
    write_json(("x",), [])
    assert json.loads(capsys.readouterr().out) == []


def test_sections_are_indented_lines(capsys: pytest.CaptureFixture[str]) -> None:
    write_sections([("One", [("keep", True), ("text", "a\x1bb")]), ("Two", [])])
    assert capsys.readouterr().out == "One\n  keep                    True\n  text                    a\\x1bb\nTwo\n"


def test_a_terminal_gets_tables_and_panels(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_table(("[red]head",), [("[bold]a\x1bb",)])
    write_sections([("One", [("[red]name", "\x1b[31mvalue")])])
    out = capsys.readouterr().out
    assert "[red]head" in out
    assert "[bold]a\\x1bb" in out
    assert "\\x1b[31mvalue" in out
