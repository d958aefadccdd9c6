"""Build networks: a backbone by name with a linear head; the only door to timm.

`resnet9` is the default for small pictures on a CPU and needs no timm; `resnet9-W` sets the channels of its first block. `resnet9avg`
halves by averaging before the convolution instead of by a maximum after it, at a quarter of the arithmetic of those layers.
`resnet9white` begins with fixed filters that whiten the patches of the pictures it is to learn (`small_network.whitening`) and has GELUs
instead of ReLUs: it gets further with few samples.
`torchvision/NAME` and `open_clip/NAME` are theirs (of the latter the image tower, which takes its own image size); any other name is
one of timm's. `NAME+layer` ends in one more layer, which SimCLR's start leaves behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.methods.small_network import WHITENING_ROWS, whitening

if TYPE_CHECKING:
    import torch

LAYER = "+layer"
RESNET9_WIDTH = 32
RESNET9 = ("resnet9", "resnet9avg", "resnet9white")
WHITENER = "whitener"


def build_network(backbone: str, n_concepts: int, *, seed: int, pictures: np.ndarray | None = None) -> torch.nn.Module:
    """A network whose `features(pixels)` are (n, width) and whose call gives logits (n, n_concepts); weights drawn from the seed.

    pixels (n, 3, side, side) float, normalised. `pictures` (m, side, side, 3) uint8 are what it is to learn: some thousand of them set
    filters that whiten, where the backbone has such; without pictures these are zeros, for weights that are read from a file. Raises
    ValueError for an unknown backbone, or an odd number of such filters, or more than 54.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    body, width = _body(backbone)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = body
            self.head = nn.Linear(width, n_concepts)

        def features(self, pixels: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.backbone(pixels)
            return found

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.features(pixels))
            return logits

    network = Network()
    if pictures is not None:
        evenly = np.array(pictures[:: max(1, len(pictures) // WHITENING_ROWS)][:WHITENING_ROWS])
        for name, filters in network.named_buffers():
            if name.endswith(WHITENER):
                filters.copy_(whitening(evenly, len(filters)))
    return network


def _body(backbone: str) -> tuple[Any, int]:
    """The network below the head, and how many features it gives."""
    if backbone.endswith(LAYER):
        return _with_layer(*_body(backbone.removesuffix(LAYER)))
    library, _, name = backbone.rpartition("/")
    if library == "torchvision":
        return _from_torchvision(name)
    if library == "open_clip":
        from tasks.methods.clip import new_image_tower

        return new_image_tower(name)
    return _resnet9(backbone) if backbone.split("-")[0] in RESNET9 else _from_timm(backbone)


def _with_layer(body: Any, width: int) -> tuple[Any, int]:
    """The body and a layer as wide as its features: the first one of SimCLRv2's head, from whose end it is fine-tuned."""
    from torch import nn

    return nn.Sequential(body, nn.Linear(width, width), nn.ReLU()), width


def _resnet9(backbone: str) -> tuple[Any, int]:
    """Two residual blocks, three halvings, features = the maximum over the picture; after David Page's DAWNBench entry (2018)."""
    import torch
    from torch import nn

    kind, _, text = backbone.partition("-")
    if text and not (text.isdigit() and int(text) > 0):
        raise ValueError(f"backbone '{backbone}': after '{kind}-' comes the width of the first block, such as {kind}-{RESNET9_WIDTH}")
    width, white = int(text or RESNET9_WIDTH), kind == "resnet9white"

    def block(n_in: int, n_out: int, *, halve: bool = False) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)]
        if halve:
            layers = [nn.AvgPool2d(2), *layers] if kind == "resnet9avg" else [*layers, nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.BatchNorm2d(n_out), nn.GELU() if white else nn.ReLU())

    class Whitener(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer(WHITENER, torch.zeros(width, 3, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.gelu(nn.functional.conv2d(x, self.get_buffer(WHITENER), padding=1))

    class Residual(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(block(n, n), block(n, n))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = x + self.inner(x)
            return y

    class Maximum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.amax((2, 3))

    stages = [
        Whitener() if white else block(3, width),
        block(width, 2 * width, halve=True),
        Residual(2 * width),
        block(2 * width, 4 * width, halve=True),
    ]
    stages += [block(4 * width, 8 * width, halve=True), Residual(8 * width)]
    return nn.Sequential(*stages, Maximum()), 8 * width


def _from_torchvision(name: str) -> tuple[Any, int]:
    import torch
    import torchvision

    if name not in torchvision.models.list_models(module=torchvision.models):
        near = ", ".join(known for known in torchvision.models.list_models(module=torchvision.models) if known.startswith(name[:6]))
        raise ValueError(f"backbone 'torchvision/{name}' is not one of torchvision's{f' (near: {near})' if near else ''}")
    body: Any = torchvision.models.get_model(name, weights=None)
    where, last = [(path, module) for path, module in body.named_modules() if isinstance(module, torch.nn.Linear)][-1]
    body.set_submodule(where, torch.nn.Identity())
    return body, last.in_features


def _from_timm(backbone: str) -> tuple[Any, int]:
    import timm

    if not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"*{backbone.split('.')[0][:6]}*")[:5])
        raise ValueError(
            f"backbone '{backbone}' is neither resnet9, resnet9avg, resnet9white nor one of timm's{f' (near: {near})' if near else ''}"
        )
    body: Any = timm.create_model(backbone, pretrained=False, num_classes=0)
    return body, body.num_features
