"""Subset arrays by hand."""

import numpy as np
import pytest

from tasks.methods.datacomp import subset


def test_uids_become_sorted_pairs_without_repeats() -> None:
    first, second = "0" * 15 + "1" + "f" * 16, "0" * 15 + "1" + "0" * 15 + "2"
    found = subset([first, second, first])
    assert found.dtype == np.dtype("u8,u8")
    assert found.tolist() == [(1, 2), (1, 2**64 - 1)]
    assert len(subset([])) == 0


@pytest.mark.parametrize("uid", ["abc", "G" * 32, "A" * 32, "0" * 33])
def test_another_uid_is_refused(uid: str) -> None:
    with pytest.raises(ValueError, match=r"is not 32 hex digits, as DataComp has them"):
        subset([uid])
