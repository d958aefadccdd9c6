"""Load, build and save CLIP encoders: folders and names in, encoders out; the only door to open_clip.

An encoder is a folder that `open_clip.create_model("local-dir:FOLDER")` reads as well: open_clip_config.json,
open_clip_model.safetensors, the tokenizer's files where it isn't open_clip's own; and encoder.json, which says what it is.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

from tasks.methods.encoder import Description, Encoder, Precision, normalisation

CONFIG, WEIGHTS, DESCRIPTION = "open_clip_config.json", "open_clip_model.safetensors", "encoder.json"


def load_encoder(
    folder: Path, *, device: str = "cpu", precision: Precision = "fp32", threads: int | None = None, compiled_for: int | None = None
) -> Encoder:
    """The encoder in a folder. `threads` fixes torch's threads for this process: equal bytes need an equal number.

    Raises ValueError if the folder holds no encoder, CompileError if it can't be compiled as asked for.
    """
    import open_clip
    import torch
    from safetensors import SafetensorError

    description = describe(folder)
    if threads is not None:
        torch.set_num_threads(threads)
    name = f"local-dir:{folder.resolve()}"
    try:
        with quiet():
            model = open_clip.create_model(name, require_pretrained=True)
            tokenizer = open_clip.get_tokenizer(name)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ValueError(f"the encoder in {folder} can't be loaded ({first_line(error)}): run prepare_encoder again") from None
    return Encoder(model, tokenizer, description, device=device, precision=precision, compiled_for=compiled_for)


def describe(folder: Path) -> Description:
    """What the encoder in a folder is, without loading it (or torch). Raises ValueError if the folder holds no encoder."""
    try:
        return Description(**json.loads((folder / DESCRIPTION).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{folder} holds no encoder ({first_line(error)}): run prepare_encoder again") from None


def new_model(config: Mapping[str, Any], *, seed: int) -> tuple[Any, Any]:
    """A dual encoder of random weights and its tokenizer, by open_clip's `model_cfg`. Raises ValueError for one that open_clip refuses."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    try:
        return open_clip.CLIP(**config), open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"no encoder can be built of {config}: {first_line(error)}") from None


def new_image_tower(name: str) -> tuple[Any, int]:
    """The image tower of a model by open_clip's name, with random weights, and the width of its embeddings. Raises ValueError."""
    import open_clip

    if name not in open_clip.list_models():
        near = ", ".join(difflib.get_close_matches(name, open_clip.list_models(), n=5, cutoff=0.4))
        raise ValueError(f"model '{name}' is unknown to open_clip{f' (near: {near})' if near else ''}")
    with quiet():
        model: Any = open_clip.create_model(name, load_weights=False)
    return model.visual, int(open_clip.get_model_config(name)["embed_dim"])


def export_pretrained(model: str, pretrained: str | None, folder: Path) -> Description:
    """Get a model as `pretrained_model` does, and save it."""
    loaded = pretrained_model(model, pretrained)
    return save_encoder(
        loaded.model, loaded.config, folder, source="pretrained", name=model, pretrained=pretrained, tokenizer=loaded.tokenizer
    )


class Pretrained(NamedTuple):
    """A model, its tokenizer, open_clip's `model_cfg`, and mean and spread per colour of the pixels that it takes."""

    model: Any
    tokenizer: Any
    config: dict[str, Any]
    mean: tuple[float, ...]
    spread: tuple[float, ...]


def has_plain_tokenizer(found: Pretrained) -> bool:
    """Whether the model takes the tokens of open_clip's own tokenizer, in which 0 is padding."""
    import open_clip

    return isinstance(found.tokenizer, open_clip.SimpleTokenizer)


def pretrained_model(model: str, pretrained: str | None) -> Pretrained:
    """Get a model by open_clip's name and tag, `hf-hub:OWNER/NAME`, `local-dir:FOLDER`, or a checkpoint's path as tag.

    Downloads stay in Hugging Face's cache (HF_HOME). Raises ValueError that names model and tag, and the way out.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import open_clip
    from safetensors import SafetensorError

    if not model.startswith(("hf-hub:", "local-dir:")) and model not in open_clip.list_models():
        near = ", ".join(difflib.get_close_matches(model, open_clip.list_models(), n=5, cutoff=0.4))
        raise ValueError(f"model '{model}' is unknown to open_clip{f' (near: {near})' if near else ''}")
    # A tag trained with QuickGELU gives other features under GELU; open_clip only warns.
    tag = open_clip.get_pretrained_cfg(model, pretrained) if pretrained and ":" not in model else {}
    quick_gelu = bool(tag.get("quick_gelu"))
    try:
        with quiet():
            loaded = open_clip.create_model(model, pretrained, require_pretrained=True, force_quick_gelu=quick_gelu)
            tokenizer = open_clip.get_tokenizer(model)
            config = dict(open_clip.get_model_config(model))
    except (OSError, RuntimeError, ValueError, SafetensorError, UnpicklingError) as error:
        raise ValueError(
            f"encoder '{model}' with weights '{pretrained}' can't be had ({first_line(error)}): check the names and the network, "
            f"give a checkpoint's path as `pretrained`, or set `source: crawl`"
        ) from None
    if quick_gelu:
        config["quick_gelu"] = True
    return Pretrained(loaded, tokenizer, config, *normalisation(loaded))


def save_encoder(
    model: Any, config: Mapping[str, Any], folder: Path, *, source: str, name: str, pretrained: str | None = None, tokenizer: Any = None
) -> Description:
    """Write an encoder's folder: the same bytes for the same weights. `config` is open_clip's `model_cfg`.

    Raises ValueError for a model whose pictures are not square.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(f"model '{name}' takes pictures of {height} x {width} pixels: only square ones are supported")
    folder.mkdir(parents=True, exist_ok=True)
    mean, spread = normalisation(model)
    settings = {"model_cfg": dict(config), "preprocess_cfg": {"mean": list(mean), "std": list(spread)}}
    (folder / CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    save_file({key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}, folder / WEIGHTS)
    if tokenizer is not None and not isinstance(tokenizer, open_clip.SimpleTokenizer):
        tokenizer.save_pretrained(folder)
    with torch.inference_mode():
        embedding_width = int(model.eval().encode_image(torch.zeros(1, 3, height, width)).shape[1])
    description = Description(source, name, pretrained, fingerprint(folder), embedding_width, int(height))
    (folder / DESCRIPTION).write_text(json.dumps(asdict(description), indent=2, sort_keys=True) + "\n")
    return description


def fingerprint(folder: Path) -> str:
    """sha256, in hex, over the names and bytes of an encoder's files and of open_clip's own vocabulary."""
    from open_clip.tokenizer import default_bpe

    state = hashlib.sha256()
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != DESCRIPTION)
    for name, file in [*((str(file.relative_to(folder)), file) for file in files), ("vocabulary", Path(default_bpe()))]:
        with file.open("rb") as stream:
            state.update(f"{name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return state.hexdigest()


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines of open_clip and the hub: what goes wrong is raised, and said once."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
