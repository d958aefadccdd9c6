"""Contrastive training: losses by hand, and a tiny encoder that learns colours from noisy words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.methods.clip import new_model
from tasks.methods.contrastive import ContrastiveSettings, augment, contrastive_loss, train_encoder
from tasks.methods.encoder import PIXEL_MEAN, PIXEL_SPREAD

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
SETTINGS = ContrastiveSettings(
    n_epochs=6, batch_size=32, learning_rate=3e-3, weight_decay=0.01, label_smoothing=0.1, own_belief=0.2, word_weight=1.0,
    min_word_count=5, min_crop=0.7, colour_jitter=0.1, precision="fp32", n_threads=1, device="cpu",
)  # fmt: skip
COLOURS = {"moss": (40, 160, 60), "rust": (190, 70, 30), "slate": (70, 90, 160)}


def noisy_pairs(n: int = 384, noise: float = 0.25) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Plain colours with grain; a share of the texts names another colour."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, n)
    said = np.where(rng.random(n) < noise, rng.integers(0, 3, n), truth)
    pixels = np.array(list(COLOURS.values()))[truth][:, None, None] + rng.normal(0, 20, (n, 16, 16, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), [f"a {list(COLOURS)[number]}" for number in said], truth


def trained(settings: ContrastiveSettings = SETTINGS, model: Any = None, **changes: Any) -> tuple[Any, Any, list[float]]:
    fresh, tokenizer = new_model(CONFIG, seed=0)
    model = model or fresh
    pixels, texts, _ = noisy_pairs()
    arguments = {"tokens": tokenizer(texts).numpy(), "information": np.ones(tokenizer.vocab_size), **changes}
    losses = train_encoder(model, pixels, mean=PIXEL_MEAN, spread=PIXEL_SPREAD, settings=settings, seed=0, **arguments)
    return model, tokenizer, losses


@pytest.fixture(scope="module")
def learnt() -> tuple[Any, Any, list[float]]:
    return trained()


def test_it_learns_the_colours_in_spite_of_the_noise(learnt: tuple[Any, Any, list[float]]) -> None:
    model, tokenizer, losses = learnt
    pixels, _, truth = noisy_pairs()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)) / torch.tensor(PIXEL_SPREAD).view(1, 3, 1, 1)
    with torch.inference_mode():
        similarity = model.encode_image(images, normalize=True) @ model.encode_text(tokenizer(list(COLOURS)), normalize=True).T
    assert (similarity.argmax(1).numpy() == truth).mean() > 0.95
    assert losses[-1] < losses[0] - 0.5


def test_equal_input_gives_equal_weights(learnt: tuple[Any, Any, list[float]]) -> None:
    again, _, losses = trained()
    assert losses == learnt[2]
    assert all(torch.equal(a, b) for a, b in zip(learnt[0].state_dict().values(), again.state_dict().values(), strict=True))


def test_tokens_that_no_text_had_are_silent(learnt: tuple[Any, Any, list[float]]) -> None:
    model, tokenizer, _ = learnt
    known, unknown = tokenizer(["moss"])[0, 1], tokenizer(["giraffe"])[0, 1]
    assert model.token_embedding.weight[unknown].abs().max() == 0
    assert model.token_embedding.weight[known].abs().max() > 0


def test_bf16_and_no_words_train_too() -> None:
    _, _, losses = trained(replace(SETTINGS, n_epochs=2, precision="bf16", word_weight=0.0))
    assert losses[1] < losses[0]


def test_a_loss_that_is_no_number_stops_with_the_step() -> None:
    with pytest.raises(ValueError, match=r"the loss is nan at step \d+ of 72 \(learning_rate 1e\+30\): lower it, or use precision fp32"):
        trained(replace(SETTINGS, learning_rate=1e30))


def test_images_and_texts_must_match() -> None:
    with pytest.raises(ValueError, match="at least 2 pairs of image and text, but got 384 images and 3 texts"):
        trained(tokens=np.ones((3, 8), np.int64))


def test_the_loss_of_two_pairs_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    expected = float(np.log(1 + np.exp(-2)))
    assert float(contrastive_loss(logits, torch.tensor([0, 1]), label_smoothing=0, own_belief=0)) == pytest.approx(expected)
    # 0.1 / 2 of the target goes to the wrong one, which costs 2 more.
    smoothed = float(contrastive_loss(logits, torch.tensor([0, 1]), label_smoothing=0.1, own_belief=0))
    assert smoothed == pytest.approx(expected + 0.05 * 2)


def test_an_equal_text_is_never_a_negative() -> None:
    # Three images, the first two with one text: among texts each has one wrong one; the shared text has both images as targets.
    logits = torch.tensor([[5.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    images = np.log(1 + np.exp(-5))
    shared, single = np.log(2 + np.exp(-5)), np.log(1 + 2 * np.exp(-5))
    loss = contrastive_loss(logits, torch.tensor([0, 0, 1]), label_smoothing=0, own_belief=0)
    assert float(loss) == pytest.approx((images + (2 * shared + single) / 3) / 2, abs=1e-6)


def test_own_belief_pulls_a_doubtful_pair_less() -> None:
    logits = torch.tensor([[0.0, 4.0], [4.0, 0.0]], requires_grad=True)
    place = torch.tensor([0, 1])
    sizes = []
    for own_belief in (0.0, 0.5):
        (gradient,) = torch.autograd.grad(contrastive_loss(logits, place, label_smoothing=0, own_belief=own_belief), logits)
        sizes.append(float(gradient.abs().max()))
    assert sizes[1] == pytest.approx(sizes[0] / 2)


def test_augmentation_keeps_the_shape_and_is_nothing_at_zero() -> None:
    pixels = torch.from_numpy(noisy_pairs(4)[0])
    generator = torch.Generator().manual_seed(0)
    plain = augment(pixels, 1.0, 0.0, generator)
    images = pixels.permute(0, 3, 1, 2).float() / 255
    for image, result in zip(images, plain, strict=True):
        assert min((result - image).abs().max(), (result - image.flip(2)).abs().max()) < 1e-5
    varied = augment(pixels, 0.5, 0.3, generator)
    assert varied.shape == (4, 3, 16, 16)
    assert varied.is_contiguous(memory_format=torch.channels_last)
    assert (varied - images).abs().max() > 0.05


def test_copies_of_a_picture_have_all_their_texts() -> None:
    # Images 0 and 1 are one picture with two texts; each has both as targets, and each of these texts has both images.
    whole = np.log(np.exp(5) + 2)
    loss = contrastive_loss(torch.eye(3) * 5, torch.arange(3), label_smoothing=0, own_belief=0, copies=torch.tensor([7, 7, 4]))
    images = (2 * (whole - 2.5) + (whole - 5)) / 3
    texts = (2 * 2 * (whole - 2.5) + (whole - 5)) / 5
    assert float(loss) == pytest.approx((images + texts) / 2, abs=1e-6)
    apart = [
        float(contrastive_loss(torch.eye(3) * 5, torch.arange(3), label_smoothing=0, own_belief=0, copies=copies))
        for copies in (None, torch.arange(3))
    ]
    assert apart[0] == apart[1]
