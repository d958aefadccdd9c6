"""A manifest that leaves its inbox has its whole reason beside it, or stays where it was."""

from pathlib import Path

import pytest

from flows.inbox import Arrival, move_out

REASON = "crawl 'bad' was refused: 'url' is missing"


@pytest.fixture
def arrival(tmp_path) -> Arrival:
    manifest = tmp_path / "inbox/bad.csv"
    manifest.parent.mkdir()
    manifest.write_text("rows")
    return Arrival(name="bad", manifest=str(manifest), inbox=str(manifest.parent))


def files(arrival: Arrival) -> list[str]:
    return sorted(str(path.relative_to(str(arrival.inbox))) for path in Path(str(arrival.inbox)).rglob("*") if path.is_file())


def test_a_refused_manifest_has_its_reason_beside_it(arrival):
    move_out(arrival, "refused", REASON)
    assert files(arrival) == ["refused/bad.csv", "refused/bad.csv.reason.txt"]
    assert (Path(str(arrival.inbox)) / "refused/bad.csv.reason.txt").read_text() == REASON + "\n"


def test_nobody_sees_a_part_of_a_reason(arrival, monkeypatch):
    def torn(path: Path, text: str) -> None:
        path.write_bytes(text[:5].encode())
        seen.extend(files(arrival))
        raise OSError("no space left")

    seen: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", torn)
        with pytest.raises(OSError, match="no space left"):
            move_out(arrival, "refused", REASON)
    assert "bad.csv" in seen
    assert not [name for name in seen if name.endswith(".txt")]
    assert files(arrival) == ["bad.csv"]
    move_out(arrival, "refused", REASON)
    assert files(arrival) == ["refused/bad.csv", "refused/bad.csv.reason.txt"]


def test_a_second_manifest_of_the_same_name_takes_a_free_one(arrival):
    for text in ("rows", "other rows"):
        Path(arrival.manifest).write_text(text)
        move_out(arrival, "done")
    assert files(arrival) == ["done/bad-2.csv", "done/bad.csv"]


def test_without_an_inbox_nothing_is_moved(tmp_path):
    manifest = tmp_path / "a.csv"
    manifest.write_text("rows")
    move_out(Arrival(name="a", manifest=str(manifest)), "done")
    assert manifest.read_text() == "rows"
