"""Read the SLUICE_* environment: what changes speed and place, never results."""

import os
from dataclasses import dataclass
from typing import Literal, cast

from tasks.core.errors import DeviceError, ParamsError

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
        present = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if device.type != "cuda" or (device.index or 0) >= present:
            raise DeviceError(f"SLUICE_DEVICE={self.device!r} asks for a device that isn't there ({present} CUDA devices): use auto or cpu")
        return f"cuda:{device.index or 0}"


def read_settings() -> Settings:
    """Settings from the environment. Raises ParamsError that names the variable and the values allowed."""
    pool = os.environ.get("SLUICE_POOL", "process")
    if pool not in POOLS:
        raise ParamsError(f"SLUICE_POOL={pool!r} is unknown: use one of {', '.join(POOLS)}")
    workers = _number("SLUICE_WORKERS", len(os.sched_getaffinity(0)))
    if workers != int(workers):
        raise ParamsError(f"SLUICE_WORKERS={workers!r} must be a whole number")
    return Settings(
        pool=cast(PoolKind, pool),
        workers=int(workers),
        device=os.environ.get("SLUICE_DEVICE", "auto"),
        events=os.environ.get("SLUICE_EVENTS", ""),
    )


def turn_telemetry_off() -> None:
    """Set the variables by which the dependencies are told not to report home; call before importing them."""
    os.environ.update(TELEMETRY_OFF)


def prepare_environment() -> None:
    """What every process of a stage sets before it imports anything heavy."""
    turn_telemetry_off()
    os.environ.update(PATIENT_THREADS)


def _number(name: str, default: float) -> float:
    text = os.environ.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ParamsError(f"{name}={text!r} must be a positive number")
    return value
