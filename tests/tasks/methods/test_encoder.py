"""The encoder itself: batches that don't wait for one another, texts cut to their length, the time that parts take."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

import tasks.methods.encoder as module
from tasks.methods.clip import load_encoder, new_model, save_encoder
from tasks.methods.encoder import Encoder, looks_back_only, text_features, text_lengths
from tests.tasks.methods.test_clip import CONFIG

LONG: dict[str, Any] = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "context_length": 32, "layers": 2}}
TEXTS = ["a cat", "", "a photo of a very small dog that sits under an old wooden table in the rain", "a cat", "two words"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    save_encoder(new_model(LONG, seed=0)[0], LONG, folder, source="crawl", name="tiny")
    return folder


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(folder)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


def test_a_batchs_memory_may_be_used_again(encoder: Encoder, pixels: np.ndarray) -> None:
    expected = encoder.encode_images(pixels, batch_size=2)
    slot = np.empty((2, 16, 16, 3), np.uint8)

    def batches() -> Any:
        for start in range(0, 7, 2):
            part = pixels[start : start + 2]
            slot[: len(part)] = part
            yield slot[: len(part)]

    spent: defaultdict[str, float] = defaultdict(float)
    found = list(encoder.encode_batches(batches(), spent))
    assert [len(batch) for batch in found] == [2, 2, 2, 1]
    assert np.array_equal(np.concatenate(found), expected)
    assert set(spent) == {"wait", "transfer", "encode"}
    assert spent["encode"] > 0


def test_the_next_batch_is_fetched_before_the_last_one_is_handed_out(encoder: Encoder, pixels: np.ndarray) -> None:
    asked: list[int] = []

    def batches() -> Any:
        for number in range(3):
            asked.append(number)
            yield pixels[:2]

    stream = encoder.encode_batches(batches(), defaultdict(float))
    next(stream)
    assert asked == [0, 1]
    assert not torch.is_inference_mode_enabled()


def test_texts_are_cut_to_their_own_length_and_mean_the_same(encoder: Encoder) -> None:
    tokens = encoder.tokenizer(TEXTS)
    lengths = text_lengths(encoder.model, tokens)
    assert lengths.tolist() == [4, 2, 19, 4, 4]  # begin, words, end
    with torch.inference_mode():
        whole = encoder.model.encode_text(tokens)
        for row, length in enumerate(lengths):
            cut = text_features(encoder.model, tokens[row : row + 1, : int(length)])
            assert torch.allclose(cut[0], whole[row], atol=1e-5)
        expected = torch.nn.functional.normalize(whole, dim=1).numpy()
    for batch_size in (1, 2, 256):
        assert np.abs(encoder.encode_texts(TEXTS, batch_size=batch_size) - expected).max() < 1e-5


def test_what_comes_after_the_pooled_token_is_never_seen_by_the_model(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(encoder.model.transformer, "forward", lambda states, attn_mask: (shapes.append(tuple(attn_mask.shape)), states)[1])
    encoder.encode_texts(TEXTS, batch_size=4)
    assert shapes == [(4, 4), (19, 19)]


def test_a_model_that_looks_ahead_gets_the_whole_context() -> None:
    both_ways = open_clip.CLIP(**{**LONG, "text_cfg": {**LONG["text_cfg"], "no_causal_mask": True}}).eval()
    assert not looks_back_only(both_ways)
    tokens = open_clip.SimpleTokenizer(context_length=32)(TEXTS)
    assert text_lengths(both_ways, tokens).tolist() == [32] * 5
    with torch.inference_mode():
        assert torch.equal(text_features(both_ways, tokens), both_ways.encode_text(tokens))


def test_the_tower_that_pools_by_its_end_token_is_cut_there() -> None:
    model = open_clip.CLIP(**{**LONG, "text_cfg": {**LONG["text_cfg"], "pool_type": "eos", "eos_id": 49407}}).eval()
    tokens = open_clip.SimpleTokenizer(context_length=32)(TEXTS)
    assert text_lengths(model, tokens).tolist() == [4, 2, 19, 4, 4]
    with torch.inference_mode():
        assert torch.allclose(text_features(model, tokens[:1, :4]), model.encode_text(tokens[:1]), atol=1e-5)


def test_preprocessing_is_said(encoder: Encoder) -> None:
    said = encoder.preprocessing()
    assert (said["image_size"], said["crop"], len(said["mean"]), len(said["spread"])) == (16, "centre", 3, 3)


def test_a_compiled_tower_sees_one_shape_only(encoder: Encoder, folder: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    def noted(function: Any, example: torch.Tensor) -> Any:
        def run(images: torch.Tensor) -> torch.Tensor:
            seen.append((images.shape, images.stride(), images.dtype))
            return function(images)

        run(example)
        return run

    monkeypatch.setattr(module, "compiled", noted)
    tower = load_encoder(folder, compiled_for=3)
    found = tower.encode_images(pixels, batch_size=3)  # the last batch has one picture
    assert np.abs(found - encoder.encode_images(pixels)).max() < 1e-5
    assert found.shape == (7, 12)
    assert len(seen) == 4
    assert set(seen) == {((3, 3, 16, 16), (768, 1, 48, 3), torch.uint8)}
    with pytest.raises(ValueError, match="this encoder is compiled for batches of 3 pictures, but got 7: give fewer"):
        tower.encode_images(pixels)


@pytest.mark.slow
def test_compiled_vectors_are_the_same_but_for_rounding(encoder: Encoder, folder: Path, pixels: np.ndarray) -> None:
    import torch._dynamo.config

    tower = load_encoder(folder, compiled_for=3)
    with torch._dynamo.config.patch(error_on_recompile=True):
        found = tower.encode_images(pixels, batch_size=3)
        assert np.abs(found - encoder.encode_images(pixels)).max() < 1e-5
        # A row's bytes depend on its place in the batch at most, not on how full that is.
        assert np.array_equal(tower.encode_images(pixels[:2], batch_size=3), found[:2])
        assert np.array_equal(tower.encode_images(pixels[6:], batch_size=3), found[6:])
        assert np.array_equal(tower.encode_texts(TEXTS), encoder.encode_texts(TEXTS))


@pytest.mark.gpu
@pytest.mark.parametrize("compiled_for", [None, 2])
def test_on_a_card_the_vectors_are_the_same_but_for_rounding(
    encoder: Encoder, folder: Path, pixels: np.ndarray, compiled_for: int | None
) -> None:
    on_card = load_encoder(folder, device="cuda:0", compiled_for=compiled_for)
    assert np.abs(on_card.encode_images(pixels, batch_size=2) - encoder.encode_images(pixels)).max() < 1e-2
    assert np.abs(on_card.encode_texts(TEXTS) - encoder.encode_texts(TEXTS)).max() < 1e-2
