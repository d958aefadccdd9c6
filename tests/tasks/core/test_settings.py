import os

import pytest

from tasks.core.errors import DeviceError, MemoryCeilingError, ParamsError
from tasks.core.settings import Settings, prepare_environment, read_settings, turn_telemetry_off


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("SLUICE_POOL", "serial")
    monkeypatch.setenv("SLUICE_WORKERS", "3")
    monkeypatch.setenv("SLUICE_DEVICE", "cpu")
    assert read_settings() == Settings(pool="serial", workers=3, device="cpu")
    monkeypatch.setenv("SLUICE_MEMORY_GB", "1.5")
    assert read_settings().memory_gb == 1.5
    monkeypatch.setenv("SLUICE_HTTP2", "1")
    assert read_settings().http2


def test_ray_starts_its_workers_as_its_nodes_do_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", raising=False)
    prepare_environment()
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "1")
    prepare_environment()
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "1"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SLUICE_POOL", "cloud", "SLUICE_POOL='cloud' is unknown: use one of serial, process, ray"),
        ("SLUICE_WORKERS", "many", "SLUICE_WORKERS='many' must be a positive number"),
        ("SLUICE_WORKERS", "1.5", "SLUICE_WORKERS=1.5 must be a whole number"),
        ("SLUICE_WORKERS", "-1", "SLUICE_WORKERS='-1' must be a positive number"),
        ("SLUICE_HTTP2", "yes", "SLUICE_HTTP2='yes' must be 0 or 1"),
        ("SLUICE_MEMORY_GB", "0", "SLUICE_MEMORY_GB='0' must be a positive number"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ParamsError) as caught:
        read_settings()
    assert str(caught.value) == message


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert Settings(device="auto").torch_device() == "cpu"
    with pytest.raises(DeviceError, match=r"SLUICE_DEVICE='cuda' asks for a device that isn't there \(0 CUDA devices\): use auto or cpu"):
        Settings(device="cuda").torch_device()
    with pytest.raises(DeviceError, match="'abacus' is no device"):
        Settings(device="abacus").torch_device()


def test_what_needs_more_than_the_ceiling_is_refused_with_the_way_out():
    Settings().require_memory(1e30, "a galaxy", "take a smaller one")
    Settings(memory_gb=2).require_memory(2 * 2**30, "an index", "use ivf")
    with pytest.raises(MemoryCeilingError) as caught:
        Settings(memory_gb=2).require_memory(3 * 2**30, "an index", "use ivf")
    assert str(caught.value) == "an index needs 3 GB, SLUICE_MEMORY_GB allows 2: use ivf, or raise SLUICE_MEMORY_GB"


def test_telemetry_is_off():
    turn_telemetry_off()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert os.environ["DO_NOT_TRACK"] == "1"
