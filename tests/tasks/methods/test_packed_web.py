from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.methods import packed_web
from tasks.methods.packed_web import PackedFiles, Pile


def test_files_are_found_whatever_row_group_they_lie_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_web, "GROUPS_HELD", 2)
    bodies = {f"p/{number}": bytes([number]) * number for number in range(40)}
    pq.write_table(pa.table({"path": list(bodies), "bytes": list(bodies.values())}), tmp_path / "web.parquet", row_group_size=3)
    files = PackedFiles(tmp_path / "web.parquet")
    for path in [*bodies, *reversed(bodies)]:
        assert files.get(path) == bodies[path]
        assert len(files._groups) <= 2
    assert files.get("p/40") is None
    files.close()


def test_what_is_no_packed_web_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "half.parquet")
    for name in ("text.parquet", "half.parquet", "gone.parquet"):
        with pytest.raises(ValueError, match=f"{name} is not a packed web"):
            PackedFiles(tmp_path / name)


def test_a_pile_gives_files_back_in_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_web, "GROUP_BYTES", 10)
    with Pile(tmp_path) as pile:
        numbers = [pile.put(bytes([n]) * n) for n in (4, 0, 7, 2)]
        tables = list(pile.tables(["d", "c", "b", "a"], numbers[::-1]))
        assert not list(pile.tables([], []))
    rows = [(row["path"], len(row["bytes"])) for table in tables for row in table.to_pylist()]
    assert rows == [("d", 2), ("c", 7), ("b", 0), ("a", 4)]
    assert [table.num_rows for table in tables] == [4]
    assert list(tmp_path.iterdir()) == []
