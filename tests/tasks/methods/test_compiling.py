"""Compile: called ahead of its use, for one shape, and what is said where it can't be."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.methods.compiling import CompileError, compiled


def twice(values: torch.Tensor) -> torch.Tensor:
    return values * 2


def test_it_is_called_before_its_use_and_no_stopwatch_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    seen: list[torch.Size] = []
    monkeypatch.setattr(
        torch, "compile", lambda function, **how: (asked.append(how), lambda values: (seen.append(values.shape), function(values))[1])[1]
    )
    made = compiled(twice, torch.ones(3, 2))
    assert seen == [(3, 2)]
    assert made(torch.ones(3, 2)).tolist() == [[2, 2]] * 3
    assert asked == [{"dynamic": False, "options": {"deterministic": True}}]


@pytest.mark.parametrize("error", [RuntimeError("no compiler"), FileNotFoundError("no compiler")])
def test_what_goes_wrong_is_said(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(values: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(torch, "compile", lambda function, **how: fails)
    with pytest.raises(CompileError, match="no compiler"):
        compiled(twice, torch.ones(3))


def test_too_little_memory_is_not_put_down_to_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(values: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "compile", lambda function, **how: fails)
    with pytest.raises(torch.OutOfMemoryError):
        compiled(twice, torch.ones(3))


@pytest.mark.slow
def test_without_a_compiler(tmp_path: Path) -> None:
    import torch._inductor.config
    import torch._inductor.utils

    with (
        torch._inductor.config.patch({"cpp.cxx": (str(tmp_path / "g++"),)}),
        torch._inductor.utils.fresh_cache(dir=str(tmp_path)),
        pytest.raises(CompileError, match=r"No working C\+\+ compiler found"),
    ):
        compiled(twice, torch.ones(3))
