"""Edits of params.yaml leave every other line as it is."""

from pathlib import Path

from tasks.commands.params_file import append_name, remove_name

TEXT = """\
# top
crawls:
  - one   # first
  - two
empty: []
number: 1e-4   # kept as written
quoted: "yes"
long: this is a very long line that nobody wants to see wrapped by an editor of YAML, whatever its width is, because it was written in one
"""


def test_append_and_remove(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    append_name("crawls", "three", path)
    assert path.read_text() == TEXT.replace("  - two\n", "  - two\n  - three\n")
    remove_name("crawls", "three", path)
    assert path.read_text() == TEXT
    append_name("empty", "one", path)
    assert path.read_text() == TEXT.replace("empty: []", "empty:\n  - one")
    remove_name("absent", "one", path)
    remove_name("crawls", "absent", path)
    assert path.read_text() == TEXT.replace("empty: []", "empty:\n  - one")


def test_the_real_file_survives_a_round_trip(repo: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (repo / "params.yaml").read_text()
    path.write_text(text)
    append_name("crawls", "zzz", path)
    remove_name("crawls", "zzz", path)
    assert path.read_text() == text
