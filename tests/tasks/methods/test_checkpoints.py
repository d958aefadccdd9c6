"""Training states on disk: whole or not there, and never pickle."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tasks.methods.backbones import build_network
from tasks.methods.checkpoints import load_tensors, read_config, read_model, save_tensors, write_model

CONFIG = {"backbone": "resnet9-2", "concepts": ["猫", "dog", "moon"], "image_size": 16}


def test_tensors_and_metadata_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = {
        "half": torch.tensor([0.1, -3.0], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "learned": torch.ones(2, requires_grad=True),
    }
    metadata = {"step": 8, "losses": [0.1, 0.2], "name": "猫"}
    save_tensors(tmp_path / "new" / "state.safetensors", tensors, metadata)
    found, told = load_tensors(tmp_path / "new" / "state.safetensors")
    assert told == metadata
    assert found.keys() == tensors.keys()
    assert all(found[name].dtype == value.dtype and torch.equal(found[name], value) for name, value in tensors.items())
    assert not found["learned"].requires_grad


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_tensors(tmp_path / name, {"x": torch.arange(3.0)}, {"step": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_writer_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"x": torch.ones(1)}, {"step": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_tensors(path, {"x": torch.zeros(1)}, {"step": object()})
    (tmp_path / ".state.safetensors.tmp").write_bytes(b"half a st")
    tensors, metadata = load_tensors(path)
    assert (tensors["x"].item(), metadata) == (1.0, {"step": 1})
    save_tensors(path, {"x": torch.zeros(1)}, {"step": 2})
    assert load_tensors(path)[1] == {"step": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("kind", ["text", "empty", "pickle", "cut", "foreign", "no json"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"x": torch.ones(100)}, {})
    cut = path.read_bytes()[:-8]
    {
        "text": lambda: path.write_text("this is no tensor, whatever its name says"),
        "empty": lambda: path.write_bytes(b""),
        "pickle": lambda: torch.save({"x": torch.ones(1)}, path),
        "cut": lambda: path.write_bytes(cut),
        "foreign": lambda: save_file({"x": torch.ones(1)}, path),
        "no json": lambda: save_file({"x": torch.ones(1)}, path, {"sluice": "{"}),
    }[kind]()
    with pytest.raises(ValueError, match=r"state\.safetensors is no checkpoint of this project \(.+\): delete it to start again$"):
        load_tensors(path)


def test_a_model_comes_back_ready_to_run(tmp_path: Path) -> None:
    network, pixels = build_network("resnet9-2", 3, seed=5), torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    network(pixels)  # in training mode: moves the running means, which are part of the model
    write_model(tmp_path, network, CONFIG)
    found, config = read_model(tmp_path)
    assert config == CONFIG
    assert not found.training
    with torch.inference_mode():
        assert torch.equal(found(pixels), network.eval()(pixels))
        assert not torch.equal(found(pixels), build_network("resnet9-2", 3, seed=0).eval()(pixels))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert "猫" in (tmp_path / "config.json").read_text(encoding="utf-8")


def test_a_folder_is_whole_only_with_its_config(tmp_path: Path) -> None:
    write_model(tmp_path, build_network("resnet9-2", 3, seed=5), CONFIG)
    assert read_config(tmp_path) == CONFIG
    whole = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(whole[: len(whole) // 2])
    assert read_config(tmp_path) is None
    (tmp_path / "config.json").unlink()
    assert read_config(tmp_path) is None
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))} holds no trained model: run the stage pretrain$"):
        read_model(tmp_path)
    assert read_config(tmp_path / "nowhere") is None


def test_the_config_is_written_last(tmp_path: Path) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.second = torch.nn.Linear(2, 2)

    with pytest.raises(RuntimeError, match="share memory"):
        write_model(tmp_path, Tied(), CONFIG)
    assert read_config(tmp_path) is None
