"""Prepare encoder: trained on a small crawl, or exported; the same artefact."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.core.errors import DeviceError, ParamsError
from tasks.core.params import SharedParams
from tasks.core.settings import Settings
from tasks.core.tables import Artifact, Sink
from tasks.methods.clip import describe, load_encoder
from tasks.methods.pictures import squares
from tasks.methods.tars import read_images
from tasks.prepare_encoder import PrepareEncoderParams, choose_texts, prepare_encoder, read_pairs
from tests.tasks.small_web import SmallWeb, make_web

PARAMS = {
    "format": 1, "source": "crawl", "model": "ViT-B-32", "pretrained": "openai", "crawl": "alpha", "tower": "test_resnet",
    "image_size": 32, "embedding_width": 16, "text_width": 32, "text_layers": 1, "context_length": 8, "max_pairs": 1000,
    "join_copies": False, "use_concept": False,
    "min_information": 0.02, "information_prior": 5.0, "epochs": 5, "batch_size": 32, "learning_rate": 3e-3,
    "weight_decay": 0.01, "label_smoothing": 0.1, "own_belief": 0.2, "word_weight": 1.0, "min_word_count": 3, "min_crop": 0.7,
    "colour_jitter": 0.1, "adapter_rank": 4, "adapter_strength": 8.0, "adapter_learning_rate": 3e-3,
    "precision": "fp32", "n_threads": 2,
}  # fmt: skip
SHARED = SharedParams.model_construct(seed=0)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> SmallWeb:
    return make_web(tmp_path_factory.mktemp("web"), n_rows=300)


def prepared(web: SmallWeb, target: Path, settings: Settings | None = None, **changes: Any) -> dict[str, Any]:
    return prepare_encoder(
        images=web.artifact("images/alpha"),
        records=web.source("records"),
        validity=web.source("validity"),
        encoder=Artifact(target),
        params=PrepareEncoderParams(**(PARAMS | changes)),
        shared=SHARED,
        settings=settings or Settings(pool="serial", device="cpu"),
    )


@pytest.fixture(scope="module")
def trained(web: SmallWeb, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    target = tmp_path_factory.mktemp("encoder") / "encoder"
    return target, prepared(web, target)


def test_an_encoder_learns_from_the_crawl_alone(web: SmallWeb, trained: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = trained
    assert metrics["source"] == "crawl"
    assert metrics["fingerprint"] == describe(folder).fingerprint
    assert 100 < metrics["pairs"] < 300
    assert metrics["losses"][-1] < metrics["losses"][0]
    encoder = load_encoder(folder)
    rows = web.source("records").table(["sample_id", "key"]).to_pylist()
    rows = [row for row in rows if web.truth[row["sample_id"]]]
    stored = dict(read_images(web.root / "images" / "alpha" / "00000.tar"))
    images = encoder.encode_images(squares([stored[row["key"]] for row in rows], encoder.image_size))
    names = ["moss", "rust", "slate"]
    guesses = (images @ encoder.encode_texts([f"a {name}" for name in names]).T).argmax(1)
    right = np.array([names[guess] == web.truth[row["sample_id"]] for guess, row in zip(guesses, rows, strict=True)])
    assert right.mean() > 0.8


def test_the_same_bytes_for_any_number_of_workers(web: SmallWeb, trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, metrics = trained
    assert prepared(web, tmp_path / "again", Settings(pool="process", workers=3, device="cpu")) == metrics
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_an_exported_encoder_is_the_same_artefact(web: SmallWeb, trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = trained
    metrics = prepared(web, tmp_path / "out", source="pretrained", model=f"local-dir:{folder}", pretrained=None)
    assert metrics["source"] == "pretrained"
    assert {file.name for file in (tmp_path / "out").iterdir()} == {file.name for file in folder.iterdir()}
    texts = ["a moss", "a slate"]
    assert np.array_equal(load_encoder(tmp_path / "out").encode_texts(texts), load_encoder(folder).encode_texts(texts))


def test_a_pretrained_model_is_adapted_to_the_crawl(web: SmallWeb, trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    how = {"source": "adapted", "model": f"local-dir:{trained[0]}", "pretrained": None, "epochs": 2}
    metrics = prepared(web, tmp_path / "out", **how)
    assert metrics["source"] == "adapted"
    assert metrics["fingerprint"] != trained[1]["fingerprint"]
    before, after = load_encoder(trained[0]).model.state_dict(), load_encoder(tmp_path / "out").model.state_dict()
    assert before.keys() == after.keys()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert "transformer.resblocks.0.attn.in_proj_weight" in moved
    assert not moved & {"token_embedding.weight", "positional_embedding", "logit_scale", "ln_final.weight"}
    assert prepared(web, tmp_path / "again", **how) == metrics


def test_copies_of_a_picture_share_their_texts_if_asked_to(tmp_path: Path) -> None:
    web = make_web(tmp_path, n_rows=60)
    web.write("records", [row | {"sha256": "0" * 64} for row in web.source("records").table().to_pylist()])
    metrics = prepared(web, tmp_path / "out", join_copies=True, epochs=1, batch_size=256)
    assert metrics["losses"] != prepared(web, tmp_path / "apart", epochs=1, batch_size=256)["losses"]


def tokens_of(web: SmallWeb, **changes: Any) -> tuple[np.ndarray, list[dict[str, Any]]]:
    from open_clip import SimpleTokenizer

    pairs = read_pairs(web.source("records"), web.source("validity"), 1000)
    return choose_texts(pairs, SimpleTokenizer(context_length=8), PrepareEncoderParams(**(PARAMS | changes)))[0], pairs.to_pylist()


def test_rows_without_text_are_left_out_unless_the_concept_stands_in(web: SmallWeb) -> None:
    tokens, rows = tokens_of(web)
    silent = np.array([not row["alt_text"] for row in rows])
    assert silent.any()
    assert not tokens[silent].any()
    assert tokens_of(web, use_concept=True)[0][silent].any(axis=1).all()


def test_texts_that_tell_nothing_are_left_out(web: SmallWeb) -> None:
    tokens, rows = tokens_of(web)
    off_topic = np.array([row["alt_text"] in ("a lemon", "a tram") for row in rows])
    specific = np.array([bool(row["alt_text"]) for row in rows]) & ~off_topic
    assert tokens[specific].any(axis=1).mean() > 0.9
    assert tokens[off_topic].any(axis=1).mean() < 0.6


def test_the_pairs_are_an_even_draw(web: SmallWeb) -> None:
    found = read_pairs(web.source("records"), web.source("validity"), 10)["sample_id"].to_pylist()
    assert found == sorted(web.truth)[:10]


@pytest.fixture
def breakable(tmp_path: Path) -> Callable[..., SmallWeb]:
    return lambda **how: make_web(tmp_path / "web", n_rows=60, **how)


def test_invalid_rows_and_damaged_images_are_left_out(breakable: Callable[..., SmallWeb], tmp_path: Path, caplog: Any) -> None:
    web = breakable()
    source = web.source("validity")
    table = source.table()
    changed = [row | {"valid": number % 2 == 0} for number, row in enumerate(table.to_pylist())]
    sink = Sink(source.contract, source.root, source.crawls)
    sink.write_whole(table.from_pylist(changed, schema=source.contract.schema))
    tar = web.root / "images" / "alpha" / "00000.tar"
    content = tar.read_bytes()
    middle = content.index(b"IDAT", len(content) // 3)
    tar.write_bytes(content[: middle + 4] + b"\xff" * 40 + content[middle + 44 :])
    metrics = prepared(web, tmp_path / "encoder", epochs=1, min_information=0.0)
    assert 2 <= metrics["pairs"] <= 30


def test_a_crawl_without_texts_is_refused(breakable: Callable[..., SmallWeb], tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"^0 of \d+ pairs have a text .* set prepare_encoder.use_concept to true"):
        prepared(breakable(with_text=False), tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_of_a_crawl_without_texts_the_concepts_can_be_learnt(breakable: Callable[..., SmallWeb], tmp_path: Path) -> None:
    web = breakable(with_text=False)
    metrics = prepared(web, tmp_path / "encoder", use_concept=True)
    assert metrics["pairs"] == read_pairs(web.source("records"), web.source("validity"), 1000).num_rows
    assert metrics["losses"][-1] < metrics["losses"][0]


def test_a_model_that_cannot_be_had(web: SmallWeb, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="model 'ViT-B-23' is unknown to open_clip"):
        prepared(web, tmp_path / "encoder", source="pretrained", model="ViT-B-23")
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there(web: SmallWeb, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="SLUICE_DEVICE='cuda:99' asks for a device that isn't there"):
        prepared(web, tmp_path / "encoder", Settings(device="cuda:99"))
