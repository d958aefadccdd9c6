"""Keep training states: one safetensors file that is all there or not at all, never pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.methods.backbones import build_network

if TYPE_CHECKING:
    import torch

METADATA = "sluice"


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON metadata: to a temporary name, fsynced, renamed. A killed writer leaves the old file whole."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, {METADATA: json.dumps(metadata)})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What `save_tensors` wrote. Raises ValueError for a file that is not one of its own."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads((file.metadata() or {})[METADATA])  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no checkpoint of this project ({error}): delete it to start again") from None


def write_model(folder: Path, network: torch.nn.Module, config: dict[str, Any]) -> None:
    """model.safetensors and, last, config.json (backbone, concepts, image_size, ...): a folder with config.json is whole."""
    save_tensors(folder / "model.safetensors", dict(network.state_dict()), {})
    temporary = folder / ".config.json.tmp"
    temporary.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    temporary.replace(folder / "config.json")


def read_model(folder: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The network that `write_model` wrote, ready to run, and its config."""
    config = read_config(folder)
    if config is None:
        raise ValueError(f"{folder} holds no trained model: run the stage pretrain")
    network = build_network(config["backbone"], len(config["concepts"]), seed=0)
    network.load_state_dict(load_tensors(folder / "model.safetensors")[0])
    return network.eval(), config


def read_config(folder: Path) -> dict[str, Any] | None:
    """The config of a whole model folder, None of any other."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    except (OSError, json.JSONDecodeError):
        return None
    return config
