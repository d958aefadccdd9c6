"""Hold out: one file per clean set, the same every time, rewritten as a whole."""

import pyarrow.parquet as pq

from tasks.core.tables import Artifact
from tasks.hold_out import HoldOutParams, SetSizes, hold_out

PARAMS = HoldOutParams(seed=0, rows=SetSizes(in_domain_test=20, near_domain_train=8, near_domain_test=8))


def test_one_file_per_set_and_nothing_else(tmp_path):
    clean = Artifact(tmp_path / "clean")
    clean.path.mkdir()
    (clean.path / "old.parquet").write_bytes(b"left by an earlier run")
    assert hold_out(clean, PARAMS) == {"in_domain_test": 20, "near_domain_train": 8, "near_domain_test": 8}
    assert {path.stem for path in clean.path.iterdir()} == {"in_domain_test", "near_domain_train", "near_domain_test"}
    assert pq.read_schema(clean.path / "near_domain_test.parquet").names == ["image", "alt_text", "concept"]


def test_twice_gives_the_same_bytes(tmp_path):
    first, second = Artifact(tmp_path / "a"), Artifact(tmp_path / "b")
    for clean in (first, second):
        hold_out(clean, PARAMS)
    for path in first.path.iterdir():
        assert path.read_bytes() == (second.path / path.name).read_bytes()
