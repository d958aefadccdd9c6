"""Find what is to be forgotten: samples by id, url, host, hash or likeness to a picture, and all that shares their bytes."""

import argparse
import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.commands.export import images_folder
from tasks.commands.output import printable
from tasks.commands.similar import open_index
from tasks.commands.tables import find_table
from tasks.core.errors import SluiceError
from tasks.core.forgotten import on_host
from tasks.core.graph import read_graph
from tasks.methods.forgetting import Wanted
from tasks.methods.manifests import image_ids
from tasks.methods.similar import cosines
from tasks.methods.tars import read_images
from tasks.methods.vectors import QUERIES

ID_PART = re.compile(r"[0-9a-f]{8,32}")
DIGEST = re.compile(r"[0-9a-f]{64}")
PLACE = ("sample_id", "image_id", "crawl", "shard", "key", "url", "sha256")


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    names: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    picture: Path | None = None
    min_similarity: float | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Request":
        """Raises SluiceError for words that can't be used together, or name nothing."""
        hosts = frozenset(host.lower().rstrip(".") for host in arguments.host)
        digests = frozenset(digest.lower() for digest in arguments.sha256)
        for digest in digests:
            if not DIGEST.fullmatch(digest):
                raise SluiceError(f"--sha256 '{printable(digest[:80])}' is not 64 hex digits")
        for host in hosts:
            if not host or re.search(r"[/:@\s]", host):
                raise SluiceError(f"--host '{printable(host[:80])}' is no host name: give it as in images.example.org")
        if (arguments.similar_to is None) != (arguments.min_similarity is None):
            raise SluiceError("--similar-to and --min-similarity go together: the picture, and from which cosine similarity on")
        if arguments.min_similarity is not None and not 0 < arguments.min_similarity <= 1:
            raise SluiceError(f"--min-similarity {arguments.min_similarity} must be above 0 and at most 1")
        if not (arguments.names or hosts or digests or arguments.similar_to):
            raise SluiceError("nothing to forget: name ids or urls, or use --host, --sha256 or --similar-to")
        return cls(tuple(arguments.names), hosts, digests, arguments.similar_to, arguments.min_similarity)


def chosen_records(request: Request) -> pa.Table:
    """The records of every crawl that the request names, and all that share an image or its bytes with them.

    Raises SluiceError for an id that nothing has.
    """
    records = all_records()
    mask = np.zeros(records.num_rows, bool)
    for name in request.names:
        mask |= named_records(name, records)
    mask |= among(records, "sha256", request.digests) | among(records, "sample_id", similar_samples(request))
    mask |= hosted(records, request.hosts)
    chosen = records.filter(pa.array(mask))
    images, digests = set(chosen["image_id"].to_pylist()), set(chosen["sha256"].drop_null().to_pylist())
    return records.filter(pa.array(among(records, "image_id", images) | among(records, "sha256", digests)))


def all_records() -> pa.Table:
    """Where the images of every crawl on the disk lie, also of crawls that were taken out of params.yaml."""
    table = find_table("records", read_graph(), [])
    files = sorted(table.root.rglob("*.parquet")) if table is not None else []
    if not files:
        raise SluiceError("no crawl has been ingested yet: there is nothing to forget")
    return pa.concat_tables([pq.ParquetFile(file).read(columns=list(PLACE)).replace_schema_metadata(None) for file in files])


def among(records: pa.Table, column: str, values: Collection[str]) -> np.ndarray:
    """(n,) bool: rows whose value is one of the values."""
    here = pc.is_in(records[column], value_set=pa.array(sorted(values), pa.string()))
    return np.asarray(pc.fill_null(here, False).to_numpy(), bool)


def hosted(records: pa.Table, hosts: frozenset[str]) -> np.ndarray:
    """(n,) bool: rows whose address lies on one of the hosts."""
    mask = np.zeros(records.num_rows, bool)
    for host in hosts:
        near = pc.match_substring(records["url"], host, ignore_case=True)  # few are left to be parsed
        for row in pc.indices_nonzero(near).to_pylist():
            mask[row] |= on_host(records["url"][row].as_py(), hosts)
    return mask


def named_records(name: str, records: pa.Table) -> np.ndarray:
    """(n,) bool: the records with this url or id. A url that no crawl has is fine: it is kept out of later ones."""
    part = name.lower()
    if ID_PART.fullmatch(part):
        found = pc.or_(*(pc.starts_with(records[column], pattern=part) for column in ("sample_id", "image_id")))
        if pc.count_distinct(records["image_id"].filter(found)).as_py() > 1:
            raise SluiceError(f"'{part}' stands for several images: give more digits")
    else:
        found = pc.equal(records["url"], name)
    mask = np.asarray(found.to_numpy(), bool)
    if not mask.any() and "://" not in name:
        raise SluiceError(f"no sample has the url or id '{printable(name[:200])}': nothing was forgotten")
    return mask


def similar_samples(request: Request) -> frozenset[str]:
    """Samples whose images are as similar to the picture as asked for: every vector is compared."""
    if request.picture is None or request.min_similarity is None:
        return frozenset()
    from tasks.commands.search import picture_vector

    opened, query = open_index(), picture_vector(request.picture)
    found = [
        start + int(place)
        for start in range(0, len(opened.vectors), QUERIES)
        for place in np.flatnonzero(cosines(np.asarray(opened.vectors[start : start + QUERIES]), query) >= request.min_similarity)
    ]
    if not found:
        raise SluiceError(f"no image is {request.min_similarity} or more similar to {request.picture}: nothing was forgotten")
    return frozenset(opened.rows["sample_id"][place].as_py() for place in found)


def found_wanted(request: Request, records: pa.Table) -> Wanted:
    """Ids, addresses and hashes of all that has to go; addresses that no crawl has yet are among the images."""
    samples, images = frozenset(records["sample_id"].to_pylist()), set(records["image_id"].to_pylist())
    urls = {name for name in request.names if "://" in name} | (set(records["url"].to_pylist()) - {""})
    digests = set(request.digests) | set(records["sha256"].drop_null().to_pylist())
    images |= set(image_ids(sorted(urls)))
    wanted = Wanted(samples, frozenset(images), frozenset(urls), frozenset(digests))
    stored = {sha256(data).hexdigest() for tar, keys in tars_of(wanted).items() for key, data in read_images(tar) if key in keys}
    return Wanted(samples, wanted.images, wanted.urls, wanted.digests | stored)


def tars_of(wanted: Wanted) -> dict[Path, set[str]]:
    """The tars that hold, or held, the images, with their keys."""
    records, found = all_records(), dict[Path, set[str]]()
    for record in records.filter(pa.array(among(records, "image_id", wanted.images))).to_pylist():
        tar = images_folder(record["crawl"]) / f"{record['shard']}.tar"
        if tar.is_file():
            found.setdefault(tar, set()).add(record["key"])
    return found
