"""Train a dual encoder on noisy pairs: image and text towers that agree on what a crawl's pictures show.

Pairs are noisy: texts repeat, say nothing, or belong to another image. So an equal text is never a negative, targets are soft
(label smoothing and the model's own belief), and a second head, dropped afterwards, names the words of the text.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.methods.adapters import hold_frozen_norms
from tasks.methods.inference import deterministic
from tasks.methods.text_targets import word_targets

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ContrastiveSettings:
    """How a dual encoder is trained.

    `label_smoothing` and `own_belief` are the shares of a target that are spread over all texts (images) of the batch and given to
    what the model itself holds likely (the latter from the second half on); `word_weight` is the weight of the word loss beside
    the contrastive one, for words that `min_word_count` rows share; `min_crop` the least share of a side that a training crop
    shows; `colour_jitter` the largest relative change of brightness, contrast and saturation; `precision` the arithmetic of the
    forward pass.
    """

    n_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    own_belief: float
    word_weight: float
    min_word_count: int
    min_crop: float
    colour_jitter: float
    precision: str
    n_threads: int
    device: str


def train_encoder(
    model: Any,
    pixels: np.ndarray,
    tokens: np.ndarray,
    information: np.ndarray,
    *,
    mean: tuple[float, ...],
    spread: tuple[float, ...],
    settings: ContrastiveSettings,
    seed: int,
    copies: np.ndarray | None = None,
) -> list[float]:
    """Train `model` (encode_image, encode_text, logit_scale: an open_clip model) in place; the mean loss of every epoch.

    pixels (n, side, side, 3) uint8; tokens (n, length) int64, 0 = padding; information (vocabulary,) in [0, 1]: what each
    token is worth as a word (see `token_information`); mean, spread: of each colour in [0, 1], as the finished
    encoder will apply them; copies (n,) int64: equal numbers are the same picture, whose texts belong to all of them. What is frozen in the
    model stays as it is. Embeddings of tokens that no text had are set to 0: at random they would only be noise in a prompt.
    Symmetric InfoNCE: Radford et al. 2021 (CLIP), fig. 3; noisy pairs: Jia et al. 2021 (ALIGN); own belief: Li et al. 2021 (ALBEF), eq. 6,
    without the momentum model. Raises ValueError for fewer than 2 pairs, lengths that differ, or a loss that is no number.
    """
    import torch

    if len(pixels) != len(tokens) or len(pixels) < 2:
        raise ValueError(f"an encoder needs at least 2 pairs of image and text, but got {len(pixels)} images and {len(tokens)} texts")
    with deterministic(settings.n_threads, settings.device):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        texts, text_of_row = np.unique(tokens, axis=0, return_inverse=True)
        words = word_targets(tokens, information, min_count=settings.min_word_count)
        trainer = Trainer(model, words.shape[1], mean, spread, settings, n_steps=n_batches(len(pixels), settings) * settings.n_epochs)
        losses = []
        for epoch in range(settings.n_epochs):
            started, total, n_images = monotonic(), 0.0, 0
            for rows in batches(len(pixels), settings.batch_size, generator):
                same = None if copies is None else copies[rows]
                total += len(rows) * trainer.step(pixels[rows], texts, text_of_row.reshape(-1)[rows], words[rows], generator, same)
                n_images += len(rows)
            losses.append(total / n_images)
            rate = n_images / (monotonic() - started)
            log.info("epoch %d of %d: loss %.4f, %.0f images/s", epoch + 1, settings.n_epochs, losses[-1], rate)
        forget_unseen_tokens(model, tokens)
    model.eval()
    return losses


class Trainer:
    """The state of one training run: model, word head, optimizer, schedule."""

    def __init__(
        self, model: Any, n_words: int, mean: tuple[float, ...], spread: tuple[float, ...], settings: ContrastiveSettings, *, n_steps: int
    ) -> None:
        import torch

        self.settings, self.n_steps, self.done = settings, n_steps, 0
        self.model = model.to(settings.device, memory_format=torch.channels_last).train()
        hold_frozen_norms(self.model)
        width = int(model.encode_image(torch.zeros(2, 3, *image_size(model), device=settings.device)).shape[1])
        self.head = torch.nn.Linear(width, n_words).to(settings.device) if n_words and settings.word_weight else None
        self.mean, self.spread = (torch.tensor(values, device=settings.device).view(1, 3, 1, 1) for values in (mean, spread))
        learnt = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        parameters = [*learnt, *(self.head.parameters() if self.head is not None else ())]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, settings.learning_rate, total_steps=n_steps + 1, pct_start=0.2)

    def step(
        self,
        pixels: np.ndarray,
        texts: np.ndarray,
        text_of_row: np.ndarray,
        words: np.ndarray,
        generator: torch.Generator,
        copies: np.ndarray | None,
    ) -> float:
        """One step on a batch; its loss. Raises ValueError if it is no number."""
        import torch

        settings = self.settings
        distinct, place = np.unique(text_of_row, return_inverse=True)
        images = augment(torch.from_numpy(pixels), settings.min_crop, settings.colour_jitter, generator).to(settings.device)
        text_tokens = torch.from_numpy(texts[distinct]).to(settings.device)
        with torch.autocast(settings.device.split(":")[0], torch.bfloat16, enabled=settings.precision == "bf16"):
            seen = self.model.encode_image((images - self.mean) / self.spread).float()
            read = self.model.encode_text(text_tokens, normalize=True).float()
        logits = self.model.logit_scale.exp() * torch.nn.functional.normalize(seen, dim=1) @ read.T
        own_belief = settings.own_belief if self.done >= self.n_steps / 2 else 0.0
        place_of_row = torch.from_numpy(place).to(settings.device)
        same = None if copies is None else torch.from_numpy(copies).to(settings.device)
        loss = contrastive_loss(logits, place_of_row, label_smoothing=settings.label_smoothing, own_belief=own_belief, copies=same)
        if self.head is not None:
            named = self.head(seen).log_softmax(1)
            loss = loss - settings.word_weight * (torch.from_numpy(words).to(settings.device) * named).sum(1).mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            rate = f"learning_rate {settings.learning_rate:g}"
            raise ValueError(f"the loss is {value} at step {self.done + 1} of {self.n_steps} ({rate}): lower it, or use precision fp32")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.done += 1
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        return value


def contrastive_loss(
    logits: torch.Tensor, place: torch.Tensor, *, label_smoothing: float, own_belief: float, copies: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of the two cross-entropies, images choosing among the distinct texts and texts among the images.

    logits (n, t) float: scaled similarity of image i and distinct text j; place (n,) int64: the text of each image. A text that several
    images carry has them all as its targets, in equal shares; so have images, with `copies` (n,) int64, the texts of all that have their
    number.
    """
    import torch

    given = torch.nn.functional.one_hot(place, logits.shape[1]).to(logits.dtype)
    if copies is not None:
        given = ((copies[:, None] == copies).to(logits.dtype) @ given).clamp(max=1.0)
    losses = []
    for scores, target, weight in (
        (logits, given / given.sum(1, keepdim=True), None),
        (logits.T, given.T / given.T.sum(1, keepdim=True), given.sum(0)),
    ):
        log_probs = scores.log_softmax(1)
        share = label_smoothing + own_belief
        target = (1 - share) * target + label_smoothing / scores.shape[1] + own_belief * log_probs.detach().exp()
        each = -(target * log_probs).sum(1)
        losses.append(each.mean() if weight is None else (each * weight).sum() / weight.sum())
    return (losses[0] + losses[1]) / 2


def augment(pixels: torch.Tensor, min_crop: float, colour_jitter: float, generator: torch.Generator) -> torch.Tensor:
    """(n, side, side, 3) uint8 -> (n, 3, side, side) float32 in about [0, 1]: each cropped, mirrored and recoloured at random."""
    import torch

    n = len(pixels)
    images = pixels.permute(0, 3, 1, 2).float() / 255
    scale = min_crop + (1 - min_crop) * torch.rand(n, 2, generator=generator)
    shift = (1 - scale) * (2 * torch.rand(n, 2, generator=generator) - 1)
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    move = torch.zeros(n, 2, 3)
    move[:, 0, 0], move[:, 1, 1], move[:, :, 2] = scale[:, 0] * mirror, scale[:, 1], shift
    grid = torch.nn.functional.affine_grid(move, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    brightness, contrast, saturation = (1 + colour_jitter * (2 * torch.rand(3, n, 1, 1, 1, generator=generator) - 1)).unbind(0)
    grey = images.mean(1, keepdim=True)
    images = grey + saturation * (images - grey)
    middle = images.mean((1, 2, 3), keepdim=True)
    return (brightness * (middle + contrast * (images - middle))).contiguous(memory_format=torch.channels_last)


def forget_unseen_tokens(model: Any, tokens: np.ndarray) -> None:
    """Set the embeddings of all tokens that are not in `tokens` to 0; frozen ones are left alone."""
    import torch

    weight = getattr(model, "text", model).token_embedding.weight
    if not weight.requires_grad:
        return
    unseen = torch.ones(len(weight), dtype=torch.bool)
    unseen[torch.from_numpy(np.unique(tokens))] = False
    with torch.no_grad():
        weight[unseen.to(weight.device)] = 0


def image_size(model: Any) -> tuple[int, int]:
    """Height and width that the image tower takes."""
    size = model.visual.image_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def n_batches(n: int, settings: ContrastiveSettings) -> int:
    """Steps of one epoch."""
    return max(1, n // settings.batch_size)


def batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """All rows once, shuffled; a last batch that is not full is left out unless it is the only one."""
    import torch

    order = torch.randperm(n, generator=generator).numpy()
    for start in range(0, max(1, n // batch_size) * batch_size, batch_size):
        yield order[start : start + batch_size]
