import logging

from tasks.core import progress


def test_plain_lines_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO):
        assert list(progress.track("abc", total=3, description="embed")) == ["a", "b", "c"]
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["embed: 1 of 3", "embed: 2 of 3"]


def test_a_bar_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(progress.track([1, 2], total=2, description="embed")) == [1, 2]
    assert "embed" in capsys.readouterr().err
