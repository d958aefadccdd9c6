"""Open a dataset in Python: frames, Arrow tables, a torch Dataset and a Hugging Face dataset out of a version's catalog and tars.

from tasks.dataset import open_dataset
dataset = open_dataset("path/to/workspace")
frame = dataset.frame("keep AND confidence > 0.9")
before = open_dataset("v1", workspace="path/to/workspace")
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from tasks.core.errors import SluiceError
from tasks.core.graph import Entry, read_graph
from tasks.core.lineage import FETCHES
from tasks.core.params import PARAMS_FILE, read_params
from tasks.core.version_files import lay_out
from tasks.core.workspace import is_workspace
from tasks.methods.signatures import sniff
from tasks.methods.sql import Catalog, identifier, open_catalog
from tasks.methods.tar_index import places, read_at

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    from PIL.Image import Image
    from torch.utils.data import Dataset as TorchDataset

STAGE, DATABASE = "catalog", "sluice.duckdb"
OPEN_TARS = 64  # tables of contents that are kept; one of 5,000 images takes a megabyte
KEPT = "keep"
Transform = Callable[["Image"], Any]


def open_dataset(version: str | Path | None = None, *, workspace: str | Path | None = None) -> "Dataset":
    """A version of a dataset: what a workspace holds now, a published version's folder, or a git tag or commit of a workspace.

    `version` is a folder (of a workspace or below one, or of a published version), else a revision of `workspace`; None means what lies in
    `workspace` now. Without `workspace` it is the one at the working directory or above it. A link to a folder is followed at once: who has
    opened `versions/current` goes on with the version that it led to.

    Raises SluiceError if there is no such workspace or version, no catalog in it, or tables of it that can't be had any more.
    """
    if version is None:
        return Dataset(workspace_at(workspace))
    folder = Path(version).resolve()
    if folder.is_dir():
        return Dataset(folder if not is_workspace(folder) and published(folder) else workspace_at(folder))
    return Dataset(lay_out(str(version), workspace_at(workspace)))


def workspace_at(folder: str | Path | None) -> Path:
    """The workspace in a folder, or nearest above it. Raises SluiceError if there is none."""
    start = Path(folder).absolute() if folder is not None else Path.cwd()
    for found in (start, *start.parents):
        if is_workspace(found):
            return found
    raise SluiceError(f"no workspace at {start} or above it: name the folder that holds dvc.yaml and params.yaml")


def published(folder: Path) -> Path | None:
    """The catalog in the folder of a published version, which has tables and no graph; None if it is none."""
    return next(iter(sorted(folder.glob(f"*/{STAGE}/{DATABASE}"))), None)


def catalog_of(top: Path, limits: Mapping[str, str] | None = None) -> Catalog:
    """The catalog of the workspace or version in a folder, within DuckDB's `limits`. Raises SluiceError if it isn't built."""
    alone = None if is_workspace(top) else published(top)
    if alone is not None:
        return open_at(alone, top, [alone.parents[1]], limits)
    graph, values = read_graph(top / "dvc.yaml"), read_params(top / PARAMS_FILE)
    entry = graph[STAGE]
    folder = next(out.path(values) for out in entry.outs if out.name == STAGE)
    folders = [folder, *(found.path(values) for found in entry.data)]
    said = {found.name: found.path(values) for stage in graph.values() for found in stage.data if found.name == "reviews"}
    return open_at(top / folder / DATABASE, top, folders, limits, {"fetches": FETCHES} | said)


def open_at(
    path: Path, top: Path, folders: Sequence[Path], limits: Mapping[str, str] | None, live: Mapping[str, Path] | None = None
) -> Catalog:
    """The catalog at a path behind its door. Raises SluiceError if it can't be opened."""
    try:
        return open_catalog(path, top, folders, limits, live)
    except (ValueError, duckdb.Error) as error:
        raise SluiceError(next(iter(str(error).splitlines()), "")) from None


class Dataset:
    """A dataset that is read as it is asked for. `where` is an SQL condition on the view `samples`; None means the kept samples."""

    def __init__(self, top: Path) -> None:
        self.top = top
        catalog_of(top).close()  # so that a missing catalog is an error now, not later
        self._tops = [top] if is_workspace(top) else [top, *filter(is_workspace, top.parents)][:2]  # a version may lie in its workspace
        self._images = images_of(self._tops[-1])

    def table(self, where: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The samples, in order of crawl, shard and key. Raises SluiceError for a condition or a column that DuckDB refuses."""
        chosen = ", ".join(map(identifier, columns)) if columns is not None else "*"
        sql = f"SELECT {chosen} FROM samples WHERE (\n{where or KEPT}\n) ORDER BY crawl, shard, key, sample_id"
        return self.query(sql)

    def frame(self, where: str | None = None, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """The same as a pandas frame."""
        frame: pd.DataFrame = self.table(where, columns).to_pandas()
        return frame

    def query(self, sql: str) -> pa.Table:
        """What any one SELECT over the catalog's views gives. Raises SluiceError for one that is refused."""
        try:
            with catalog_of(self.top) as catalog:
                return catalog.table(sql)
        except (ValueError, duckdb.Error) as error:
            raise SluiceError(next(iter(str(error).splitlines()), "")) from None

    def image(self, sample: dict[str, Any]) -> bytes:
        """The stored bytes of a sample, given its crawl, shard and key. Raises SluiceError if they aren't there."""
        if self._images is None:
            raise SluiceError(f"{self.top} holds tables alone, and no workspace lies above it: open a tag in a workspace to see pictures")
        tars = [top / self._images.path({"item": sample["crawl"]}) / f"{sample['shard']}.tar" for top in self._tops]
        tar = next((path for path in tars if path.is_file()), tars[-1])
        try:
            return read_at(tar, contents(tar)[sample["key"]])
        except (OSError, KeyError):
            raise SluiceError(
                f"{tar} has no image {sample['key']}: run `dvc checkout` (`dvc fetch` for a tag), or ask for samples whose status is ok"
            ) from None

    def torch(self, transform: Transform | None = None, where: str | None = None) -> "TorchDataset[tuple[Any, dict[str, Any]]]":
        """A map-style torch Dataset of (image, sample): a PIL image, or what `transform` makes of it; read when it is asked for."""
        return torch_dataset(self, self.table(decodable(where)), transform)

    def huggingface(self, where: str | None = None) -> "datasets.IterableDataset":
        """A lazy Hugging Face dataset with the columns of `sluice export huggingface`. Raises SluiceError without their library."""
        try:
            import datasets
        except ImportError:
            raise SluiceError("Hugging Face datasets is not installed: `pip install datasets`") from None
        from tasks.methods.huggingface import features, row_of

        rows = self.table(decodable(where))

        def generate() -> Iterator[dict[str, Any]]:
            for sample in samples_of(rows):
                data = self.image(sample)
                yield row_of(sample, data, {"jpeg": "jpg"}.get(name := sniff(data) or "jpeg", name))

        return datasets.IterableDataset.from_generator(generate, features=datasets.Features.from_dict(features()))


def images_of(top: Path) -> Entry | None:
    """Where the workspace in a folder has its pictures; None if the folder is no workspace."""
    if not is_workspace(top):
        return None
    return next(out for stage in read_graph(top / "dvc.yaml").values() for out in stage.outs if out.name == "images")


def decodable(where: str | None) -> str:
    """The condition, of samples that have an image."""
    return f"status = 'ok' AND (\n{where or KEPT}\n)"


def samples_of(rows: pa.Table) -> Iterator[dict[str, Any]]:
    """Row after row, a thousand at a time in Python."""
    return (row for batch in rows.to_batches(max_chunksize=1000) for row in batch.to_pylist())


@lru_cache(maxsize=OPEN_TARS)
def contents(tar: Path) -> dict[str, Any]:
    """Where the images of a tar lie."""
    return dict(places(tar))


def torch_dataset(dataset: Dataset, rows: pa.Table, transform: Transform | None) -> "TorchDataset[tuple[Any, dict[str, Any]]]":
    """The torch Dataset; torch is imported here alone."""
    from PIL import Image
    from torch.utils.data import Dataset as TorchDataset

    class Samples(TorchDataset[tuple[Any, dict[str, Any]]]):
        def __len__(self) -> int:
            return int(rows.num_rows)

        def __getitem__(self, place: int) -> tuple[Any, dict[str, Any]]:
            if not -len(self) <= place < len(self):
                raise IndexError(place)
            sample = rows.slice(place % len(self), 1).to_pylist()[0]
            image = Image.open(BytesIO(dataset.image(sample))).convert("RGB")
            return (image if transform is None else transform(image)), sample

    return Samples()
