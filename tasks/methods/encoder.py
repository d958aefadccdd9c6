"""Encode: L2-normalised embeddings out of pixels and texts, batch after batch, with the device kept busy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tasks.methods.compiling import compiled

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]
# What the pixels of most open_clip models were normalised with; taken for encoders trained here too.
PIXEL_MEAN, PIXEL_SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Description:
    """What an encoder is. `fingerprint` is a sha256 over weights, configuration and tokenizer."""

    source: str
    model: str
    pretrained: str | None
    fingerprint: str
    embedding_width: int
    image_size: int


class Encoder:
    """A CLIP on a device. Every result is the same for the same batch, however the caller came by it.

    With `compiled_for` the image tower is compiled for batches of so many pictures, and shorter ones are filled up, so that one kernel
    serves all. The text tower stays as it is: each length of a batch would want a kernel of its own. Raises CompileError.
    """

    def __init__(
        self, model: Any, tokenizer: Any, description: Description, *, device: str, precision: Precision, compiled_for: int | None = None
    ) -> None:
        import torch

        if device.startswith("cuda"):
            torch.cuda.set_device(device)  # events and pinned memory belong to the current device
        self.model = model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.description = description
        self.device, self.precision, self.compiled_for = device, precision, compiled_for
        mean, spread = normalisation(model)
        self.shift, self.scale = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in ([255 * value for value in mean], [1 / (255 * value) for value in spread])
        )
        self._features: Callable[[torch.Tensor], torch.Tensor] = self._image_features
        if compiled_for is not None:
            with self.computing():
                blank = torch.zeros(compiled_for, self.image_size, self.image_size, 3, dtype=torch.uint8, device=device)
                self._features = compiled(self._image_features, blank.permute(0, 3, 1, 2))

    @property
    def image_size(self) -> int:
        """Height and width in pixels of what `encode_images` takes."""
        return self.description.image_size

    @property
    def embedding_width(self) -> int:
        """Length of an embedding."""
        return self.description.embedding_width

    @property
    def fingerprint(self) -> str:
        """sha256 over weights, configuration and tokenizer."""
        return self.description.fingerprint

    @property
    def on_card(self) -> bool:
        """Whether it computes beside the processor, which is then free to decode."""
        return self.device.startswith("cuda")

    def preprocessing(self) -> dict[str, Any]:
        """What is done to a picture before the model sees it."""
        mean, spread = normalisation(self.model)
        shape = {"image_size": self.image_size, "resize": "shorter side, bicubic, antialiased", "crop": "centre"}
        return {**shape, "mean": list(mean), "spread": list(spread)}

    def encode_images(self, pixels: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
        """(n, image_size, image_size, 3) uint8 -> (n, embedding_width) float32, L2-normalised. Raises ValueError for another shape."""
        self._check(pixels)
        if not len(pixels):
            return np.empty((0, self.embedding_width), np.float32)
        batches = (pixels[start : start + batch_size] for start in range(0, len(pixels), batch_size))
        return np.concatenate(list(self.encode_batches(batches, defaultdict(float))))

    def encode_batches(self, batches: Iterable[np.ndarray], spent: defaultdict[str, float]) -> Iterator[np.ndarray]:
        """The embeddings of each batch of pixels, one batch late: while the device works on one, the next one is fetched and sent.

        A batch's memory may be used again once the next one is asked for. Adds to `spent` milliseconds of `wait` (for batches),
        `transfer` and `encode` (on the device). Raises ValueError for pixels of another size, or more than `compiled_for`.
        """
        left = iter(batches)
        under_way: tuple[torch.Tensor, list[Any]] | None = None
        while True:
            began = perf_counter()
            batch = next(left, None)
            spent["wait"] += 1000 * (perf_counter() - began)
            # A generator must not hold inference mode across a yield: the caller would be in it, too.
            following = self._start(batch) if batch is not None else None
            if under_way is not None:
                yield self._finish(*under_way, spent)
            if following is None:
                return
            under_way = following

    def encode_texts(self, texts: list[str], *, batch_size: int = 256) -> np.ndarray:
        """n texts -> (n, embedding_width) float32, L2-normalised. What goes beyond the model's context is cut off.

        Texts of like length share a batch, which is as long as its longest one where the model allows that.
        """
        import torch

        embeddings = np.empty((len(texts), self.embedding_width), np.float32)
        if not texts:
            return embeddings
        tokens = self.tokenizer(texts)
        lengths = text_lengths(self.model, tokens)
        order = torch.argsort(lengths, stable=True)
        for start in range(0, len(texts), batch_size):
            places = order[start : start + batch_size]
            batch = tokens[places, : int(lengths[places].max())].to(self.device)
            with self.computing():
                embeddings[places.numpy()] = unit(text_features(self.model, batch)).cpu().numpy()
        return embeddings

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Without gradients, in the encoder's precision."""
        import torch

        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        with torch.inference_mode(), torch.autocast(self.device.split(":")[0], dtype, enabled=self.precision != "fp32"):
            yield

    def _start(self, pixels: np.ndarray) -> tuple[torch.Tensor, list[Any]]:
        """Send a batch and set the device to work; the features arrive in host memory after the last mark."""
        import torch

        self._check(pixels)
        with self.computing():
            marks = [self._mark()]
            # Bytes travel to the device, not floats; (n, side, side, 3) in memory is what channels_last means.
            host = torch.from_numpy(np.ascontiguousarray(pixels))
            images = (host.pin_memory() if self.on_card else host).to(self.device, non_blocking=True)
            marks.append(self._mark())
            features = self._features(self._filled_up(images).permute(0, 3, 1, 2))[: len(pixels)]
            found = torch.empty(features.shape, dtype=torch.float32, pin_memory=self.on_card).copy_(features, non_blocking=True)
            marks.append(self._mark())
        return found, marks

    def _image_features(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, image_size, image_size) uint8 -> (n, embedding_width) float32, L2-normalised."""
        return unit(self.model.encode_image(images.float().sub_(self.shift).mul_(self.scale)))

    def _filled_up(self, images: torch.Tensor) -> torch.Tensor:
        """With black pictures at the end up to `compiled_for`, (n, side, side, 3) uint8; as they are for a tower that takes any number."""
        import torch

        if self.compiled_for is None:
            return images
        if len(images) > self.compiled_for:
            raise ValueError(f"this encoder is compiled for batches of {self.compiled_for} pictures, but got {len(images)}: give fewer")
        return torch.nn.functional.pad(images, (0, 0) * 3 + (0, self.compiled_for - len(images)))

    def _check(self, pixels: np.ndarray) -> None:
        if pixels.shape[1:] != (self.image_size, self.image_size, 3) or pixels.dtype != np.uint8:
            wanted = f"(n, {self.image_size}, {self.image_size}, 3) uint8"
            raise ValueError(f"this encoder takes pixels {wanted}, but got {pixels.shape} {pixels.dtype}: resize them first")

    def _finish(self, found: torch.Tensor, marks: list[Any], spent: defaultdict[str, float]) -> np.ndarray:
        if self.on_card:
            marks[-1].synchronize()
        for name, before, after in zip(("transfer", "encode"), marks, marks[1:], strict=False):
            spent[name] += before.elapsed_time(after) if self.on_card else 1000 * (after - before)
        return found.numpy()

    def _mark(self) -> Any:
        """A moment: of this processor, or in the card's queue."""
        import torch

        if not self.on_card:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def unit(features: torch.Tensor) -> torch.Tensor:
    """float32 rows of length 1."""
    import torch

    return torch.nn.functional.normalize(features.float(), dim=1)


def text_lengths(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """How many tokens of each row the model has to see: up to the one that it pools, where attention looks back only; else all.

    tokens (n, context) int64 -> (n,) int64.
    """
    import torch

    if not looks_back_only(model):
        return torch.full((len(tokens),), tokens.shape[1])
    if model.text_pool_type == "eos":
        tokens = (tokens == model.text_eos_id).int()
    return tokens.argmax(1) + 1


def looks_back_only(model: Any) -> bool:
    """Whether what follows a text's pooled token can't change its embedding: open_clip.CLIP with a causal mask."""
    pooled = getattr(model, "text_pool_type", None)
    return pooled in ("argmax", "eos") and getattr(model, "attn_mask", None) is not None and hasattr(model, "token_embedding")


def text_features(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """`model.encode_text` for rows that may be cut shorter than the context, which open_clip's own refuses."""
    import torch

    n = tokens.shape[1]
    if not looks_back_only(model) or n == model.positional_embedding.shape[0]:
        features: torch.Tensor = model.encode_text(tokens)
        return features
    kind = model.transformer.get_cast_dtype()
    states = model.token_embedding(tokens).to(kind) + model.positional_embedding[:n].to(kind)
    states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:n, :n]))
    pooled: torch.Tensor = states[torch.arange(len(states), device=states.device), text_lengths(model, tokens) - 1]
    projection = model.text_projection
    if projection is None:
        return pooled
    projected: torch.Tensor = projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection
    return projected


def normalisation(model: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread per colour, of pixels in [0, 1], that the model was trained with."""
    mean, spread = (getattr(model.visual, name, None) for name in ("image_mean", "image_std"))
    return tuple(mean or PIXEL_MEAN), tuple(spread or PIXEL_SPREAD)
