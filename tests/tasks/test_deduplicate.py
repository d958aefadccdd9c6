"""Deduplicate: planted copies in two crawls, copies of clean sets, chains of evidence, stable splits."""

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tasks import deduplicate as stage
from tasks.contracts.duplicates import CONTRACT as DUPLICATES
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.core.errors import ParamsError, ShardError
from tasks.core.params import SharedParams
from tasks.core.tables import Artifact, Contract, Shard, Sink, Source, column
from tasks.methods.knn import knn_graph
from tasks.methods.perceptual import thumbnail
from tasks.methods.pictures import perceptual_hashes

CRAWLS = ["old", "new"]
PARAMS = {
    "radius": 10, "max_per_hash": 16, "max_near_duplicate_similarity": 0.95, "min_copy_similarity": 0.985,
    "min_semantic_copy_similarity": 0.985, "min_group_similarity": 0.9, "max_zoom": 0.1,
    "semantic": "neighbors", "cells_per_sqrt": 1.0, "points_per_cell": 64,
    "min_detail_side": 1000, "min_layout_similarity": 0.6, "min_detail_similarity": 0.4, "max_detail_zoom": 0.2,
    "min_small_side": 1000, "min_small_detail_similarity": 0.8,
    "splits": stage.Shares(train=0.6, val=0.2, test=0.2), "n_folds": 3,
}  # fmt: skip
# The columns of records that deduplicate reads.
RECORDS = Contract(
    "records", "", ("sample_id",),
    pa.schema([
        column("sample_id", pa.string(), ""), column("sha256", pa.string(), ""), column("phash", pa.uint64(), "", nullable=True),
        column("phash_mirrored", pa.uint64(), ""), column("width", pa.int32(), ""), column("height", pa.int32(), ""),
        column("thumbnail", pa.binary(), "", nullable=True),
    ]),
)  # fmt: skip


def drawn(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


class Web:
    """Pictures by sample_id in two crawls; embeddings are the thumbnails."""

    def __init__(self, root: Path, pictures: dict[str, dict[str, bytes]], clean: list[bytes] = ()) -> None:
        self.root = root
        self.global_table = {"crawls": CRAWLS, "per_crawl": False}
        (root / "clean").mkdir(parents=True, exist_ok=True)
        if clean:
            pq.write_table(pa.table({"image": list(clean), "concept": ["cat"] * len(clean)}), root / "clean/test.parquet")
        for crawl, images in pictures.items():
            rows = [self.record(sample_id, data) for sample_id, data in images.items()]
            Sink(RECORDS, root / "records", CRAWLS).write(Shard(crawl, "00000"), pa.Table.from_pylist(rows, schema=RECORDS.schema))
        self.write_graph({crawl: dict(sorted(images.items())) for crawl, images in pictures.items()})

    @staticmethod
    def record(sample_id: str, data: bytes) -> dict:
        rgb = Image.open(BytesIO(data))
        first, second = perceptual_hashes(rgb)
        digest = hashlib.sha256(data).hexdigest()
        hashes = {"sha256": digest, "phash": first, "phash_mirrored": second}
        return {"sample_id": sample_id, **hashes, "width": rgb.width, "height": rgb.height, "thumbnail": thumbnail(rgb)}

    def write_graph(self, pictures: dict[str, dict[str, bytes]]) -> None:
        rows = [(crawl, name, data) for crawl in CRAWLS for name, data in pictures.get(crawl, {}).items()]
        vectors = np.stack([np.frombuffer(thumbnail(Image.open(BytesIO(data))), np.uint8) / 255 - 0.5 for _, _, data in rows])
        (self.root / "index").mkdir(exist_ok=True)
        np.save(self.root / "index/vectors.npy", vectors.astype(np.float16))
        near, similar = knn_graph(vectors.astype(np.float16), n_neighbors=4)
        columns = {
            "position": np.arange(len(rows)), "sample_id": [row[1] for row in rows], "crawl": [row[0] for row in rows],
            "neighbors": list(near), "similarities": list(similar),
        }  # fmt: skip
        Sink(NEIGHBORS, self.root / "neighbors", **self.global_table).write_whole(pa.table(columns).cast(NEIGHBORS.schema))

    def run(self, **changes) -> tuple[dict, dict[str, dict], list[dict]]:
        sinks = {name: (contract, self.root / name) for name, contract in (("duplicates", DUPLICATES), ("pairs", PAIRS))}
        metrics = stage.deduplicate(
            records=Source(RECORDS, self.root / "records", CRAWLS),
            index=Artifact(self.root / "index"),
            neighbors=Source(NEIGHBORS, self.root / "neighbors", **self.global_table),
            clean=Artifact(self.root / "clean"),
            **{name: Sink(*found, **self.global_table) for name, found in sinks.items()},
            params=stage.DeduplicateParams(**{**PARAMS, **changes}),
            shared=SharedParams(seed=0),
        )
        tables = {name: Source(*found, **self.global_table).table().to_pylist() for name, found in sinks.items()}
        return metrics, {row["sample_id"]: row for row in tables["duplicates"]}, tables["pairs"]


def small_web(root: Path, **more) -> Web:
    original = drawn(0)
    old = {"m": jpeg(original), "b": jpeg(drawn(1)), "c": jpeg(drawn(2))}
    new = {
        "a": old["m"],
        "d": jpeg(original.resize((90, 90)), 60),
        "e": jpeg(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "f": jpeg(drawn(2).crop((4, 4, 124, 124))),
        "g": jpeg(drawn(3)),
    }
    return Web(root, {"old": old, "new": new}, **more)


def test_copies_of_every_kind_come_into_the_group_of_the_first_seen(tmp_path):
    metrics, rows, pairs = small_web(tmp_path).run()
    groups = {name: row["duplicate_group"] for name, row in rows.items()}
    assert groups == {"m": "m", "a": "m", "d": "m", "e": "m", "c": "c", "f": "c", "b": "b", "g": "g"}
    assert [rows[name]["near_duplicate_score"] for name in "ambg"] == [0, 0, 1, 1]
    assert all(0 < rows[name]["near_duplicate_score"] < 0.015 for name in "decf")
    evidence = {(row["other_id"], row["sample_id"], row["evidence"], row["crawl"]) for row in pairs}
    assert {("m", "a", "exact", "new"), ("m", "d", "perceptual", "new"), ("m", "d", "semantic", "new")} <= evidence
    assert {("m", "e", "perceptual", "new"), ("c", "f", "perceptual", "new")} <= evidence
    assert (metrics["samples"], metrics["copies"], metrics["largest_group"], metrics["leaks"]) == (8, 4, 4, 0)


def test_large_pictures_with_the_same_details_are_copies_whatever_frame_or_words_they_bear(tmp_path):
    framed = ImageOps.expand(drawn(0), 9, "white")
    written = drawn(1)
    ImageDraw.Draw(written).text((64, 112), "when you see it", "white", ImageFont.load_default(size=14), anchor="mm")
    web = Web(
        tmp_path, {"old": {"a": jpeg(drawn(0)), "b": jpeg(drawn(1)), "c": jpeg(drawn(2))}, "new": {"f": jpeg(framed), "w": jpeg(written)}}
    )
    _, rows, pairs = web.run(min_detail_side=100, min_small_side=64)
    assert {name: row["duplicate_group"] for name, row in rows.items()} == {"a": "a", "b": "b", "c": "c", "f": "a", "w": "b"}
    assert {(row["other_id"], row["sample_id"]) for row in pairs} == {("a", "f"), ("b", "w")}
    _, rows, _ = web.run(min_detail_side=1000)
    assert all(row["duplicate_group"] == name for name, row in rows.items())


def test_frames_and_black_corners_make_no_copies_of_strangers(tmp_path):
    framed = {name: ImageOps.expand(drawn(seed).point(lambda value: 96 + value // 4), 16, "black") for name, seed in (("a", 0), ("b", 1))}
    turned = {name: drawn(seed).point(lambda value: 208 + value // 8).rotate(5) for name, seed in (("c", 2), ("d", 3))}
    web = Web(tmp_path, {"old": {name: jpeg(image) for name, image in (framed | turned).items()}, "new": {"e": jpeg(framed["a"], 50)}})
    loose = {"radius": 32, "max_near_duplicate_similarity": 0.5, "min_copy_similarity": 0.9, "min_semantic_copy_similarity": 0.9}
    _, rows, _ = web.run(**loose, min_group_similarity=0.9)
    assert rows["b"]["duplicate_group"] == "a"
    assert rows["d"]["duplicate_group"] == "c"
    _, rows, _ = web.run(**loose, min_group_similarity=0.9, min_detail_side=100, min_small_side=64)
    assert {name: row["duplicate_group"] for name, row in rows.items()} == {"a": "a", "b": "b", "c": "c", "d": "d", "e": "a"}


def test_smaller_pictures_must_share_more_of_their_details(tmp_path):
    written = drawn(1)
    ImageDraw.Draw(written).text((64, 64), "when you see it", "white", ImageFont.load_default(size=16), anchor="mm")
    web = Web(tmp_path, {"old": {"a": jpeg(drawn(1))}, "new": {"w": jpeg(written)}})
    for least, group in ((0.4, "a"), (0.99, "w")):
        _, rows, _ = web.run(min_small_side=64, min_small_detail_similarity=least)
        assert rows["w"]["duplicate_group"] == group


def test_cells_find_the_copies_that_a_narrow_graph_does_not_show(tmp_path):
    copies = {f"{quality}": jpeg(drawn(0), quality) for quality in range(50, 96, 3)}
    web = Web(tmp_path, {"old": copies, "new": {"z": jpeg(drawn(1))}})
    metrics, _, _ = web.run(radius=0)
    more, rows, _ = web.run(radius=0, semantic="neighbors_and_cells")
    assert more["pairs"]["semantic"] >= metrics["pairs"]["semantic"]
    assert len({row["duplicate_group"] for row in rows.values()}) == 2


def test_groups_are_never_apart(tmp_path):
    _, rows, _ = small_web(tmp_path).run()
    dealt = {(row["duplicate_group"], row["split"], row["fold"]) for row in rows.values()}
    assert len(dealt) == len({row["duplicate_group"] for row in rows.values()}) == 4


def test_the_old_crawl_keeps_its_groups_and_splits_when_a_new_one_comes(tmp_path):
    bridge = Image.blend(drawn(0), drawn(1), 0.5)
    old = {name: jpeg(drawn(seed)) for name, seed in (("m", 0), ("b", 1), ("c", 2))}
    _, alone, _ = Web(tmp_path / "1", {"old": old}).run()
    _, grown, _ = Web(tmp_path / "2", {"old": old, "new": {"a": jpeg(bridge), "z": old["b"]}}).run(min_copy_similarity=0.5)
    assert {name: grown[name]["split"] for name in old} == {name: alone[name]["split"] for name in old}
    assert grown["z"]["duplicate_group"] == "b"


def test_copies_of_clean_pictures_are_leaks_with_all_their_group(tmp_path):
    clean = [jpeg(drawn(0).resize((64, 64)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)), jpeg(drawn(3)), jpeg(drawn(9))]
    metrics, rows, _ = small_web(tmp_path, clean=clean).run()
    assert sorted(name for name, row in rows.items() if row["is_leak"]) == ["a", "d", "e", "g", "m"]
    assert metrics["leaks"] == 5


def test_thumbnails_have_the_last_word(tmp_path):
    _, rows, pairs = small_web(tmp_path).run(radius=32, max_near_duplicate_similarity=-1.0)
    assert [rows[name]["duplicate_group"] for name in "mbcg"] == ["m", "b", "c", "g"]
    assert {row["evidence"] for row in pairs} == {"exact", "perceptual", "semantic"}


def test_equal_input_gives_equal_bytes(tmp_path):
    web, found = small_web(tmp_path), []
    for _ in range(2):
        web.run()
        found.append([file.read_bytes() for name in ("duplicates", "pairs") for file in sorted((tmp_path / name).rglob("*.parquet"))])
    assert len(found[0]) == 4
    assert found[0] == found[1]


def test_messages_name_the_way_out(tmp_path):
    web = small_web(tmp_path, clean=[b"broken"])
    with pytest.raises(ParamsError, match=r"params.yaml: clean: picture 0 of the clean sets can't be decoded"):
        web.run()
    (tmp_path / "clean/test.parquet").unlink()
    with pytest.raises(ValueError, match=r"train 0\.6, val 0\.2 and test 0\.1 must sum to 1"):
        stage.Shares(train=0.6, val=0.2, test=0.1)
    records = tmp_path / "records/new/00000.parquet"
    rows = pq.read_table(records).to_pylist()
    for change in ({"thumbnail": None}, {"phash": None}):
        Sink(RECORDS, tmp_path / "records", CRAWLS).write(
            Shard("new", "00000"), pa.Table.from_pylist([{**row, **change} for row in rows], schema=RECORDS.schema)
        )
        with pytest.raises(ShardError, match=r"has no thumbnail of 32 x 32 bytes|have indexed samples without hashes"):
            web.run()
    records.unlink()
    with pytest.raises(ShardError, match=r"5 indexed samples have no record, such as a: run `dvc repro`"):
        web.run()
