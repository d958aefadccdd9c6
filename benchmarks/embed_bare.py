"""The bare forward pass of an encoder's towers, beside which `embed` is measured: rate, operations, and what the device could do."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.embed_pairs import CRAWL
from tasks.contracts import records
from tasks.core.shards import ProcessPool
from tasks.core.tables import Source
from tasks.embed import EmbedParams
from tasks.methods.clip import load_encoder
from tasks.methods.compiling import compiled
from tasks.methods.encoder import looks_back_only, text_features, text_lengths
from tasks.methods.pictures import squares
from tasks.methods.tars import read_images

BATCH_SIZES = (32, 64)  # of the bare forward pass on a processor; larger ones are slower there
CARD_BATCH_SIZES = (64, 256, 1024)
BARE_IMAGES = 128  # per process, at most: half a minute of the larger towers
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SIDES = {"cpu": 2048, "cuda": 8192}  # of square matrices: large enough that nothing but arithmetic counts
ROUNDS = 5  # of which the best is the peak


def bare_rates(folder: Path, params: EmbedParams, devices: Sequence[str], processes: int, threads: int) -> dict[str, float]:
    """Pairs per second of the towers alone, on tensors that lie ready, in so many processes of so many threads; the best batch size."""
    with tempfile.TemporaryDirectory(dir=folder) as meeting:
        work = partial(bare_seconds, folder, params, Path(meeting), tuple(devices), processes, threads)
        found = list(ProcessPool(processes).map(work, range(processes)))
    per_image, per_text, per_whole_text = (np.array([seconds[name] for seconds in found]) for name in ("image", "text", "whole_text"))
    rates = {"forward": (1 / (per_image + per_text)).sum(), "open_clip_forward": (1 / (per_image + per_whole_text)).sum()}
    rates["cpu_s_per_image"] = np.mean([seconds["cpu_image"] + seconds["cpu_text"] for seconds in found])
    rates["gflop_per_pair"] = found[0]["operations"] / 1e9
    rates["peak_tflops"] = sum(seconds["peak"] for seconds in found) / 1e12
    return {"processes": processes, "threads": threads, **{name: round(float(rate), 4) for name, rate in rates.items()}}


def bare_seconds(
    folder: Path, params: EmbedParams, meeting: Path, devices: Sequence[str], processes: int, threads: int, number: int
) -> dict[str, float]:
    """Seconds per image and per text of one process, all processes at once."""
    device = devices[number % len(devices)]
    on_card = device.startswith("cuda")
    model = load_encoder(folder / "encoder", device=device, precision=params.precision, threads=threads)
    tar = folder / "images" / "00000.tar"
    stored = dict(read_images(tar))
    texts = Source(records.CONTRACT, folder / "records", [CRAWL], bound_crawl=CRAWL).table(["alt_text"])["alt_text"].to_pylist()
    sizes = [size for size in (CARD_BATCH_SIZES if on_card else BATCH_SIZES) if size <= len(texts)] or [len(texts)]
    keys = [list(stored)[place % len(stored)] for place in range(max(min(BARE_IMAGES, len(texts)), *sizes, 1))]
    pixels = torch.from_numpy(squares([stored[key] for key in keys], model.image_size)).to(device).permute(0, 3, 1, 2)
    images = pixels.float().sub_(model.shift).mul_(model.scale)
    tokens = model.tokenizer([texts[place % len(texts)] for place in range(len(keys))]).to(device)
    lengths = text_lengths(model.model, tokens)
    tokens = tokens[torch.argsort(lengths)]
    cut = int(lengths.max()) if looks_back_only(model.model) else tokens.shape[1]
    passes: dict[str, Callable[[int, int], Any]] = {
        "image": lambda start, stop: towers[stop - start](images[start:stop]),
        "text": lambda start, stop: text_features(model.model, tokens[start:stop, :cut]),
        "whole_text": lambda start, stop: model.model.encode_text(tokens[start:stop]),
    }
    counted = {"image": lambda start, stop: model.model.encode_image(images[start:stop]), "text": passes["text"]}
    found = {"operations": sum(operations_per_row(run, sizes[0]) for run in counted.values())}
    with model.computing():
        tower, compiles = model.model.encode_image, params.compiled_for(device) is not None
        towers = {size: compiled(tower, images[:size]) if compiles else tower for size in sizes}
        for name, run in passes.items():
            best = min(sizes, key=lambda size: min(seconds_per_row(run, size, size, on_card) for _ in range(2)))
            n_rows = len(keys) // best * best
            wait_for_all(meeting / name, processes)
            used = time.process_time()
            found[name] = seconds_per_row(run, n_rows, best, on_card)
            found[f"cpu_{name}"] = (time.process_time() - used) / n_rows
    wait_for_all(meeting / "peak", processes)
    return found | {"peak": peak_operations(device, params.precision)}


def seconds_per_row(run: Callable[[int, int], Any], n_rows: int, batch_size: int, on_card: bool) -> float:
    """Of whole batches: `n_rows` is a multiple of `batch_size`."""
    began = time.perf_counter()
    for start in range(0, n_rows, batch_size):
        run(start, start + batch_size)
    if on_card:
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / n_rows


def operations_per_row(run: Callable[[int, int], Any], n_rows: int) -> float:
    """Floating-point operations of a forward pass per row, a multiplication and an addition counted as two."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter doesn't see into PyTorch's fused attention
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(0, n_rows)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) / n_rows


def peak_operations(device: str, precision: str) -> float:
    """Floating-point operations per second of the product of two large square matrices, the best of some rounds."""
    kind = device.split(":")[0]
    side = SIDES[kind]
    left, right = (torch.rand(side, side, device=device).to(DTYPES[precision]) for _ in range(2))
    best = float("inf")
    for _ in range(ROUNDS + 1):  # the first one warms up; it can't be the best
        began = time.perf_counter()
        left @ right
        if kind == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def wait_for_all(folder: Path, n: int) -> None:
    """Go on when n processes have come here."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < n:
        time.sleep(0.01)
