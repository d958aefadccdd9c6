"""Embed: rows, nulls, resume, damage, and equal bytes for any pool."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tasks.embed as stage
from tasks.core.errors import DeviceError, ParamsError, ShardError
from tasks.core.settings import Settings
from tasks.core.shards import Placement, ProcessPool, SerialPool
from tasks.core.tables import Shard, Sink
from tasks.embed import EmbedParams, embed, report, vectors
from tasks.methods.clip import load_encoder, new_model, save_encoder
from tasks.methods.compiling import CompileError
from tasks.methods.encoder import Encoder
from tasks.methods.feeding import Ahead
from tasks.methods.pictures import squares
from tasks.methods.tars import read_images, write_images
from tests.tasks.small_web import SmallWeb, make_web

CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
N_ROWS = 40


@pytest.fixture
def web(tmp_path: Path) -> SmallWeb:
    return make_small(tmp_path)


def make_small(folder: Path) -> SmallWeb:
    """A crawl of two shards with equal images, two samples of one image, an invalid row, and an encoder."""
    web = make_web(folder, n_rows=N_ROWS)
    records = web.source("records").table().to_pylist()
    records[3] |= {"image_id": records[2]["image_id"], "key": records[2]["key"]}
    records[4] |= {"alt_text": " \t"}
    validity = web.source("validity").table().to_pylist()
    validity[5] |= {"valid": False, "reasons": ["broken"]}
    for name, rows in (("records", records), ("validity", validity)):
        for shard in ("00000", "00001"):
            if name == "records":
                rows = [row | {"shard": shard} for row in rows]
            mine = [row for number, row in enumerate(rows) if (number >= N_ROWS // 2) == (shard == "00001")]
            sink = web.sink(name)
            sink.write(Shard("alpha", shard), pa.Table.from_pylist(mine, schema=sink.contract.schema))
    tar = web.root / "images" / "alpha" / "00000.tar"
    (tar.parent / "00001.tar").write_bytes(tar.read_bytes())
    for file in (web.root / "embeddings" / "alpha").iterdir():
        file.unlink()
    save_encoder(new_model(CONFIG, seed=0)[0], CONFIG, web.root / "encoder", source="crawl", name="tiny")
    return web


def embedded(web: SmallWeb, pool: Any = None, settings: Settings | None = None, **changes: Any) -> dict[str, Any]:
    return embed(
        images=web.artifact("images/alpha"),
        records=web.source("records"),
        validity=web.source("validity"),
        encoder=web.artifact("encoder"),
        embeddings=web.sink("embeddings"),
        crawl="alpha",
        params=EmbedParams(**({"format": 1, "precision": "fp32", "compile": "on_card", "batch_size": 8} | changes)),
        pool=pool or SerialPool(),
        settings=settings or Settings(device="cpu"),
    )


def files(web: SmallWeb) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((web.root / "embeddings" / "alpha").iterdir())}


def test_one_row_per_valid_sample_with_the_encoders_own_vectors(web: SmallWeb) -> None:
    metrics = embedded(web)
    rows = web.source("embeddings").table().to_pylist()
    records = {row["sample_id"]: row for row in web.source("records").table().to_pylist()}
    invalid = {row["sample_id"] for row in web.source("validity").table().to_pylist() if not row["valid"]}
    assert {row["sample_id"] for row in rows} == set(records) - invalid
    assert len(rows) == N_ROWS - 1
    assert metrics["shards"] == 2
    assert metrics["images"] == len({records[row["sample_id"]]["key"] for row in rows})
    encoder = load_encoder(web.root / "encoder")
    stored = dict(read_images(web.root / "images" / "alpha" / "00000.tar"))
    for row in rows:
        record = records[row["sample_id"]]
        expected = encoder.encode_images(squares([stored[record["key"]]], 16))[0]
        assert np.abs(np.array(row["image_embedding"], np.float32) - expected).max() < 1e-3
        if record["alt_text"].strip():
            text = encoder.encode_texts([record["alt_text"]])[0]
            assert np.abs(np.array(row["text_embedding"], np.float32) - text).max() < 1e-3
        else:
            assert row["text_embedding"] is None


def test_rows_are_sorted_and_images_that_samples_share_are_encoded_once(web: SmallWeb) -> None:
    embedded(web)
    for shard in web.source("embeddings").shards():
        ids = web.source("embeddings").read(shard)["sample_id"].to_pylist()
        assert ids == sorted(ids)
    by_key: dict[tuple[str, str], set[bytes]] = {}
    embeddings = {row["sample_id"]: row for row in web.source("embeddings").table().to_pylist()}
    for record in web.source("records").table().to_pylist():
        if record["sample_id"] in embeddings:
            vector = np.array(embeddings[record["sample_id"]]["image_embedding"], np.float16).tobytes()
            by_key.setdefault((record["shard"], record["key"]), set()).add(vector)
    assert all(len(found) == 1 for found in by_key.values())
    assert len(by_key) < len(embeddings)


def test_what_is_done_is_left_alone_and_only_what_is_missing_is_made(web: SmallWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = embedded(web)
    before = files(web)
    (web.root / "embeddings" / "alpha" / "00001.parquet").unlink()
    (web.root / "embeddings" / "alpha" / ".00009.parquet.1.tmp").write_bytes(b"left by a killed run")
    written: list[str] = []
    real = Sink.write
    monkeypatch.setattr(Sink, "write", lambda self, shard, *rest: (written.append(shard.name), real(self, shard, *rest))[1])
    assert embedded(web) == metrics
    assert written == ["00001"]
    assert files(web) == before


@pytest.mark.parametrize("change", ["params", "encoder", "records", "validity"])
def test_another_recipe_makes_every_touched_shard_anew(web: SmallWeb, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    embedded(web)
    if change == "encoder":
        save_encoder(new_model(CONFIG, seed=1)[0], CONFIG, web.root / "encoder", source="crawl", name="tiny")
    elif change != "params":
        sink = web.sink(change)
        shard = Shard("alpha", "00000")
        sink.write(shard, web.source(change).read(shard).slice(1))
    written: list[str] = []
    monkeypatch.setattr(Sink, "write", lambda self, shard, table, recipe, made_by: written.append(shard.name))
    embedded(web, **({"format": 2} if change == "params" else {}))
    assert written == (["00000", "00001"] if change in ("params", "encoder") else ["00000"])


def test_shards_of_a_crawl_that_shrank_go(web: SmallWeb) -> None:
    embedded(web)
    for name in ("records", "validity"):
        (web.root / name / "alpha" / "00001.parquet").unlink()
    assert embedded(web)["shards"] == 1
    assert list(files(web)) == ["00000.parquet"]


@pytest.mark.slow
def test_equal_bytes_in_worker_processes(web: SmallWeb) -> None:
    metrics = embedded(web)
    before = files(web)
    for file in (web.root / "embeddings" / "alpha").iterdir():
        file.unlink()
    assert embedded(web, ProcessPool(2)) == metrics
    assert files(web) == before


def test_a_damaged_image_is_named(web: SmallWeb) -> None:
    tar = web.root / "images" / "alpha" / "00001.tar"
    from tasks.methods.tars import Entry

    keys = [key for key, _ in read_images(tar)]
    write_images(tar, [Entry(key, "png", b"\x89PNG\r\n\x1a\n" + b"no picture", "", {}) for key in keys])
    with pytest.raises(ShardError, match=r"image \d+ of .*00001.tar is damaged \(.*\): delete this tar and run `dvc repro` again"):
        embedded(web)
    assert list(files(web)) == ["00000.parquet"]


@pytest.mark.parametrize(("what", "value"), [("images", np.nan), ("texts", np.inf)])
def test_an_encoder_that_gives_no_numbers_is_refused(web: SmallWeb, monkeypatch: pytest.MonkeyPatch, what: str, value: float) -> None:
    def spoilt(rows: np.ndarray) -> np.ndarray:
        rows[0] = value
        return rows

    if what == "texts":
        encode = Encoder.encode_texts
        monkeypatch.setattr(Encoder, "encode_texts", lambda self, *given, **named: spoilt(encode(self, *given, **named)))
    else:
        finish = Encoder._finish
        monkeypatch.setattr(Encoder, "_finish", lambda self, *given: spoilt(finish(self, *given).copy()))
    with pytest.raises(ShardError, match=rf"NaN or infinity for \d+ {what} of alpha/00000: set embed.precision to fp32"):
        embedded(web)
    assert not list((web.root / "embeddings" / "alpha").iterdir())


def test_a_tar_that_is_not_there(web: SmallWeb) -> None:
    (web.root / "images" / "alpha" / "00000.tar").unlink()
    with pytest.raises(ShardError, match=r"the images of .*00000.tar can't be read \(.*\): delete this tar and run `dvc repro` again"):
        embedded(web)


def test_no_encoder(web: SmallWeb, tmp_path: Path) -> None:
    (web.root / "encoder" / "encoder.json").unlink()
    with pytest.raises(ParamsError, match=r"holds no encoder .*: run prepare_encoder again"):
        embedded(web)


def test_a_device_that_is_not_there(web: SmallWeb) -> None:
    with pytest.raises(DeviceError, match="SLUICE_DEVICE='cuda:99' asks for a device that isn't there"):
        embedded(web, settings=Settings(device="cuda:99"))


@pytest.mark.parametrize(
    ("compile", "on_cpu", "on_card"), [("never", None, None), ("on_card", None, 8), ("always", 8, 8)], ids=["never", "on_card", "always"]
)
def test_where_the_image_tower_is_compiled(compile: str, on_cpu: int | None, on_card: int | None) -> None:
    params = EmbedParams(format=1, precision="fp32", compile=compile, batch_size=8)  # type: ignore[arg-type]
    assert (params.compiled_for("cpu"), params.compiled_for("cuda:1")) == (on_cpu, on_card)


def test_an_encoder_that_cannot_be_compiled(web: SmallWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path, **how: Any) -> None:
        assert how["compiled_for"] == 8
        raise CompileError("No working C++ compiler found\n\nmore lines")

    monkeypatch.setattr(stage, "load_encoder", fails)
    expected = (
        r"embed.compile is 'always', but the encoder can't be compiled for cpu \(No working C\+\+ compiler found\): "
        r"install a C\+\+ compiler such as g\+\+, or set embed.compile to 'never'$"
    )
    with pytest.raises(ParamsError, match=expected):
        embedded(web, compile="always")


def test_the_encoder_is_loaded_once(web: SmallWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []
    monkeypatch.setattr(stage, "load_encoder", lambda folder, **how: (loads.append(folder), load_encoder(folder, **how))[1])
    embedded(web)
    assert len(loads) == 1


def test_vectors_keep_nulls() -> None:
    found = vectors([np.array([1, 0.5], np.float32), None])
    assert found.type == pa.list_(pa.float16())
    assert found.to_pylist() == [[1, 0.5], None]
    assert vectors([]).to_pylist() == []


def test_decoding_ahead_gives_the_same_bytes(web: SmallWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded(web)
    before = files(web)
    for file in (web.root / "embeddings" / "alpha").iterdir():
        file.unlink()
    feed = Ahead(8, 16, 2, stage.start_decoder)
    monkeypatch.setattr(stage, "opened_feed", lambda *how: feed)
    embedded(web)
    feed.close()
    assert files(web) == before


def test_a_column_says_what_made_it(web: SmallWeb, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded(web)
    table, shard = web.source("embeddings"), Shard("alpha", "00000")
    pictures = json.loads(table.made_by(shard, "image_embedding") or "")
    assert pictures["fingerprint"] == load_encoder(web.root / "encoder").fingerprint
    assert pictures["preprocessing"]["image_size"] == 16
    assert pictures["compiled"] is False
    resizer = {"cykooz-resizer"} if find_spec("cykooz_resizer") else set()  # it has no build for some machines
    assert set(pictures["versions"]) == {"torch", "open_clip_torch", "pillow", "numpy"} | resizer
    assert (pictures["precision"], pictures["device"], pictures["model"]) == ("fp32", "cpu", "tiny")
    assert "preprocessing" not in json.loads(table.made_by(shard, "text_embedding") or "")
    assert table.made_by(shard, "sample_id") is None
    embedded(web)
    assert "other versions" not in caplog.text
    monkeypatch.setattr(stage, "versions", lambda: {"torch": "0.1"})
    embedded(web)
    assert "embed alpha: 2 shards were made with other versions of torch, open_clip_torch, pillow, cykooz-resizer or numpy" in caplog.text


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        ({"read": 10, "decode": 90, "wait": 100, "encode": 900}, None),
        ({"read": 10, "decode": 290, "wait": 300, "encode": 700}, "waited 30 % of its time, mostly for `decode`: more SLUICE_WORKERS"),
        ({"read": 900, "decode": 90, "wait": 990, "encode": 10}, "waited 99 % of its time, mostly for `read`: the storage of the images"),
        ({"decode": 5, "encode texts": 500, "write": 500}, "waited 50 % of its time, mostly for `write`: the storage of the embeddings"),
        ({}, None),
    ],
)
def test_a_waiting_device_is_a_warning_that_names_the_bottleneck(
    caplog: pytest.LogCaptureFixture, spent: dict[str, float], expected: str | None
) -> None:
    caplog.set_level("INFO")
    report("alpha", {"images": 5, "texts": 4}, spent, Placement(("cpu",), 1))
    assert "embed alpha: 5 images, 4 texts on cpu (" in caplog.text
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert (expected in warnings[0]) if expected else not warnings
    if spent.get("decode"):
        assert f"decode {spent['decode'] / 1000:.1f} s" in caplog.text
