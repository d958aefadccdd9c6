import subprocess
import sys

SCRIPT = """
import sys
from tasks.core.arrow import spare_pandas
spare_pandas()
import pyarrow as pa
table = pa.Table.from_pylist([{"a": 1}, {"a": None}])
assert "pandas" not in sys.modules
assert not any(type(finder) is type and finder.__name__ == "_Hidden" for finder in sys.meta_path)
frame = table.to_pandas()  # asked for: it is imported after all
assert "pandas" in sys.modules
assert frame["a"].isna().tolist() == [False, True]
assert pa.Table.from_pandas(frame)["a"].to_pylist() == [1, None]  # and its missing values are known as such
spare_pandas()
import pandas
"""


def test_arrays_without_pandas_and_frames_with_it(repo):
    ran = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", SCRIPT], cwd=repo, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
