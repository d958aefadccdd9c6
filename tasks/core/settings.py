"""Read the SLUICE_* environment: what changes speed and place, never results."""

import os
from dataclasses import dataclass
from typing import Literal, cast

from tasks.core.errors import DeviceError, MemoryCeilingError, ParamsError

PoolKind = Literal["serial", "process", "ray"]
POOLS = ("serial", "process", "ray")
# Threads that wait sleep instead of spinning: spinning ones make training fifty times slower when another process wants a core too.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
# Off for every dependency: nothing phones home.
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Settings:
    """How and where to run."""

    pool: PoolKind = "process"
    workers: int = 1
    device: str = "auto"
    events: str = ""  # folder for TensorBoard's event files; none without one
    memory_gb: float = float("inf")  # ceiling for what a stage holds at once
    http2: bool = False  # ask https hosts over HTTP/2 where they speak it

    def require_memory(self, needed: float, what: str, way_out: str) -> None:
        """Raise MemoryCeilingError if `what` needs more bytes than SLUICE_MEMORY_GB allows."""
        if needed > self.memory_gb * 2**30:
            raise MemoryCeilingError(
                f"{what} needs {needed / 2**30:.3g} GB, SLUICE_MEMORY_GB allows {self.memory_gb:g}: {way_out}, or raise SLUICE_MEMORY_GB"
            )

    def torch_device(self) -> str:
        """The device to compute on ("cpu", "cuda:0", ...). Raises DeviceError if one was asked for that isn't there."""
        if self.device == "cpu":
            return "cpu"
        import torch

        if self.device == "auto":
            return "cuda:0" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise DeviceError(f"SLUICE_DEVICE={self.device!r} is no device: use auto, cpu, cuda or cuda:N") from None
        present = len(self.cards())
        if device.type != "cuda" or (device.index or 0) >= present:
            raise DeviceError(f"SLUICE_DEVICE={self.device!r} asks for a device that isn't there ({present} CUDA devices): use auto or cpu")
        return f"cuda:{device.index or 0}"

    def torch_devices(self) -> tuple[str, ...]:
        """All devices to compute on: every CUDA device, unless one was asked for by its number. Raises DeviceError as `torch_device`."""
        first = self.torch_device()
        return self.cards() if first != "cpu" and ":" not in self.device else (first,)

    @staticmethod
    def cards() -> tuple[str, ...]:
        """The CUDA devices of this machine."""
        import torch

        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) if torch.cuda.is_available() else ()


DEFAULTS = Settings()


def read_settings() -> Settings:
    """Settings from the environment. Raises ParamsError that names the variable and the values allowed."""
    pool = os.environ.get("SLUICE_POOL", "process")
    if pool not in POOLS:
        raise ParamsError(f"SLUICE_POOL={pool!r} is unknown: use one of {', '.join(POOLS)}")
    workers = _number("SLUICE_WORKERS", len(os.sched_getaffinity(0)))
    if workers != int(workers):
        raise ParamsError(f"SLUICE_WORKERS={workers!r} must be a whole number")
    http2 = os.environ.get("SLUICE_HTTP2", "0")
    if http2 not in ("0", "1"):
        raise ParamsError(f"SLUICE_HTTP2={http2!r} must be 0 or 1")
    return Settings(
        pool=cast(PoolKind, pool),
        workers=int(workers),
        device=os.environ.get("SLUICE_DEVICE", "auto"),
        events=os.environ.get("SLUICE_EVENTS", ""),
        memory_gb=_number("SLUICE_MEMORY_GB", float("inf")) if "SLUICE_MEMORY_GB" in os.environ else float("inf"),
        http2=http2 == "1",
    )


def turn_telemetry_off() -> None:
    """Set the variables by which the dependencies are told not to report home; call before importing them."""
    os.environ.update(TELEMETRY_OFF)


def prepare_environment() -> None:
    """What every process of a stage sets before it imports anything heavy."""
    turn_telemetry_off()
    os.environ.update(PATIENT_THREADS)
    # Under `uv run` Ray would start every worker by that same command, in an environment made anew; a cluster's nodes have their own.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")


def _number(name: str, default: float) -> float:
    text = os.environ.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ParamsError(f"{name}={text!r} must be a positive number")
    return value
