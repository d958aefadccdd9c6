import resource

import pytest

from tasks.methods import memory_limits
from tasks.methods.memory_limits import limited_memory


def test_no_more_than_granted() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), limited_memory(100):
        bytearray(400_000_000)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with limited_memory(800):
        assert len(bytearray(400_000_000)) == 400_000_000


def test_a_tighter_limit_from_outside_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(100):
        outer = resource.getrlimit(resource.RLIMIT_AS)[0]
        with limited_memory(10_000):
            assert resource.getrlimit(resource.RLIMIT_AS)[0] == outer
        assert resource.getrlimit(resource.RLIMIT_AS)[0] == outer
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_without_proc_there_is_no_limit(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(memory_limits, "STATM", str(tmp_path / "none"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(1):
        assert resource.getrlimit(resource.RLIMIT_AS) == before
