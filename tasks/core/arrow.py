"""Spare pandas: pyarrow makes arrays of Python values without importing pandas, which takes a second per process."""

import sys
from collections.abc import Sequence
from types import ModuleType

import pyarrow as pa


class _Hidden:
    """An importer that says of pandas that it isn't there."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:  # noqa: ARG004  the protocol's
        if name == "pandas":
            raise ModuleNotFoundError(name)


def spare_pandas() -> None:
    """Let pyarrow's look for pandas, at its first array, find none. It is imported all the same when a frame is asked for."""
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _Hidden)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(_Hidden)
