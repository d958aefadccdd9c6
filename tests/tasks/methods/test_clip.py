"""The door to open_clip: encoders saved, loaded, exported, applied."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tasks.methods.clip import describe, export_pretrained, load_encoder, new_model, save_encoder

CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TEXTS = ["a cat", "a photo of a dog", "", "straße 12", "a cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("encoders") / "tiny"
    save_encoder(new_model(CONFIG, seed=0)[0], CONFIG, target, source="crawl", name="tiny")
    return target


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


def test_embeddings_are_normalised_and_do_not_depend_on_the_batch(folder: Path, pixels: np.ndarray) -> None:
    encoder = load_encoder(folder)
    for whole, parts in (
        (encoder.encode_images(pixels), encoder.encode_images(pixels, batch_size=2)),
        (encoder.encode_texts(TEXTS), encoder.encode_texts(TEXTS, batch_size=2)),
    ):
        assert whole.dtype == np.float32
        assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(len(whole)), abs=1e-5)
        assert np.abs(whole - parts).max() < 1e-5
    assert np.abs(whole[0] - whole[4]).max() < 1e-6


def test_it_is_what_open_clip_itself_computes(folder: Path, pixels: np.ndarray) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    from PIL import Image

    images = torch.stack([preprocess(Image.fromarray(image)) for image in pixels])
    with torch.inference_mode():
        expected = model.eval().encode_image(images, normalize=True).numpy()
    assert np.abs(load_encoder(folder).encode_images(pixels) - expected).max() < 1e-5


def test_the_description_says_what_it_is(folder: Path) -> None:
    found, encoder = describe(folder), load_encoder(folder)
    assert (found.source, found.model, found.embedding_width, found.image_size) == ("crawl", "tiny", 12, 16)
    assert (encoder.fingerprint, encoder.embedding_width, encoder.image_size) == (found.fingerprint, 12, 16)


def test_equal_weights_give_equal_bytes_and_others_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        save_encoder(new_model(CONFIG, seed=seed)[0], CONFIG, tmp_path / name, source="crawl", name="tiny")
    for file in folder.iterdir():
        assert (tmp_path / "same" / file.name).read_bytes() == file.read_bytes()
    assert describe(tmp_path / "other").fingerprint != describe(folder).fingerprint


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_stays_near(folder: Path, pixels: np.ndarray, precision: Any) -> None:
    exact = load_encoder(folder).encode_images(pixels)
    assert (load_encoder(folder, precision=precision).encode_images(pixels) * exact).sum(1).min() > 0.999


def test_threads_are_fixed_when_asked_for(folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        load_encoder(folder, threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_pixels_of_another_size_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"takes pixels \(n, 16, 16, 3\) uint8, but got \(2, 8, 8, 3\) uint8: resize them first"):
        load_encoder(folder).encode_images(np.zeros((2, 8, 8, 3), np.uint8))


def test_nothing_in_nothing_out(folder: Path) -> None:
    encoder = load_encoder(folder)
    assert encoder.encode_texts([]).shape == (0, 12)
    assert encoder.encode_images(np.zeros((0, 16, 16, 3), np.uint8)).shape == (0, 12)


def test_a_folder_without_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no encoder \(.*\): run prepare_encoder again"):
        load_encoder(tmp_path)


def test_damaged_weights(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:200] if file.suffix == ".safetensors" else file.read_bytes())
    with pytest.raises(ValueError, match=r"can't be loaded \(.*\): run prepare_encoder again"):
        load_encoder(tmp_path)


@pytest.fixture
def named_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny architecture that open_clip knows by name, as it does ViT-B-32."""
    (tmp_path / "Tiny-16.json").write_text(json.dumps(CONFIG))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [*open_clip.factory._MODEL_CONFIG_PATHS])
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(tmp_path / "Tiny-16.json")
    return "Tiny-16"


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_a_pretrained_model_by_name_and_checkpoint(named_model: str, tmp_path: Path, pixels: np.ndarray, kind: str) -> None:
    model, _ = new_model(CONFIG, seed=3)
    checkpoint = tmp_path / f"weights.{kind}"
    if kind == "pt":
        torch.save({"state_dict": model.state_dict()}, checkpoint)
    else:
        save_file(model.state_dict(), checkpoint)
    found = export_pretrained(named_model, str(checkpoint), tmp_path / "exported")
    assert (found.source, found.model, found.pretrained) == ("pretrained", "Tiny-16", str(checkpoint))
    save_encoder(model, CONFIG, tmp_path / "direct", source="crawl", name="tiny")
    expected = load_encoder(tmp_path / "direct").encode_images(pixels)
    assert np.abs(load_encoder(tmp_path / "exported").encode_images(pixels) - expected).max() < 1e-6


def test_a_pretrained_model_out_of_a_folder(folder: Path, tmp_path: Path) -> None:
    found = export_pretrained(f"local-dir:{folder}", None, tmp_path / "exported")
    again = export_pretrained(f"local-dir:{tmp_path / 'exported'}", None, tmp_path / "again")
    assert again.fingerprint == found.fingerprint
    assert np.array_equal(load_encoder(folder).encode_texts(TEXTS), load_encoder(tmp_path / "again").encode_texts(TEXTS))


def test_an_unknown_model_names_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model 'ViT-B-23' is unknown to open_clip \(near: .*ViT-B-32.*\)"):
        export_pretrained("ViT-B-23", "openai", tmp_path)


@pytest.mark.parametrize("pretrained", [None, "no-such-tag", "missing.pt", "garbage.pt", "garbage.safetensors"])
def test_weights_that_cannot_be_had_are_named_with_the_way_out(
    named_model: str, pretrained: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("garbage.pt", "garbage.safetensors"):
        Path(name).write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=r"encoder 'Tiny-16' with weights '.*' can't be had") as caught:
        export_pretrained(named_model, pretrained, tmp_path)
    assert str(pretrained) in str(caught.value)
    assert str(caught.value).endswith("give a checkpoint's path as `pretrained`, or set `source: crawl`")


def test_no_network_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(open_clip.pretrained, "hf_hub_download", offline)
    wanted = r"encoder 'ViT-B-32' with weights 'laion2b_s34b_b79k' can't be had \(.*Name or service not known"
    with pytest.raises(ValueError, match=wanted) as caught:
        export_pretrained("ViT-B-32", "laion2b_s34b_b79k", tmp_path)
    assert "\n" not in str(caught.value)


def test_pictures_must_be_square(tmp_path: Path) -> None:
    model, _ = new_model(CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"image_size": (16, 24)}}, seed=0)
    with pytest.raises(ValueError, match="takes pictures of 16 x 24 pixels: only square ones are supported"):
        save_encoder(model, CONFIG, tmp_path, source="crawl", name="wide")


def test_a_tower_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no encoder can be built of"):
        new_model(CONFIG | {"vision_cfg": {"timm_model_name": "no_such_tower", "image_size": 16}}, seed=0)
