from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.core.errors import ShardError
from tasks.core.lanes import Tally, board


def test_every_number_is_claimed_once(tmp_path):
    with board(tmp_path) as notes:

        def claim(_: int) -> list[int]:
            numbers, found = iter(range(200)), []
            while (number := notes.claim(numbers)) is not None:
                found.append(number)
            return found

        with ThreadPoolExecutor(4) as threads:
            claimed = list(threads.map(claim, range(4)))
    assert sorted(number for found in claimed for number in found) == list(range(200))
    assert list(tmp_path.iterdir()) == []


def test_nobody_takes_the_place_of_a_worker_that_was_lost(tmp_path):
    with board(tmp_path) as notes:
        notes.begin(0)
        notes.begin(1)
        with pytest.raises(ShardError, match="a worker was lost: run `dvc repro` again to resume"):
            notes.begin(0)


def test_after_a_stop_nothing_is_claimed(tmp_path):
    with board(tmp_path) as notes:
        numbers = iter(range(9))
        assert notes.claim(numbers) == 0
        notes.stop()
        assert notes.claim(numbers) is None


def test_the_board_of_a_killed_run_is_removed(tmp_path):
    left = tmp_path / ".board.1.tmp"
    left.mkdir()
    (left / "claim-0").touch()
    with pytest.raises(RuntimeError), board(tmp_path) as notes:
        assert notes.claim(iter([0])) == 0
        assert not left.exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_tallies_are_left_for_who_watches(tmp_path):
    with board(tmp_path) as notes:
        assert notes.tallies() == []
        first, second = Tally(notes, 0), Tally(notes, 1)
        first.count(None, 100)
        second.count("dns", 0)
        second.count("dns", 0)  # too soon after the last word
        assert [tally["done"] for tally in notes.tallies()] == [1, 1]
        second.write()
        assert notes.tallies() == [
            {"done": 1, "kept": 0, "ok": 1, "bytes": 100, "details": {}},
            {"done": 2, "kept": 0, "ok": 0, "bytes": 0, "details": {"dns": 2}},
        ]
