"""Open a dataset in Python: frames, Arrow tables, a torch Dataset and a Hugging Face dataset out of a workspace's catalog and tars.

from tasks.dataset import open_dataset
dataset = open_dataset("path/to/workspace")
frame = dataset.frame("keep AND confidence > 0.9")
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.params import PARAMS_FILE, read_params
from tasks.core.workspace import find_workspace
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


def open_dataset(folder: str | Path | None = None) -> "Dataset":
    """The dataset of a workspace: of the folder named, or found upwards from it, or from the working directory.

    Raises SluiceError if there is no workspace, or no catalog in it.
    """
    start = (Path(folder) if folder is not None else Path.cwd()).resolve()  # versions/current may lead elsewhere later
    top = next((found for found in (start.absolute(), *start.absolute().parents) if (found / PARAMS_FILE).is_file()), None)
    top = find_workspace(top) if top is not None else None
    if top is None:
        raise SluiceError(f"no workspace at {start} or above it: name the folder that holds dvc.yaml and params.yaml")
    return Dataset(top)


def catalog_of(top: Path, limits: Mapping[str, str] | None = None) -> Catalog:
    """The catalog of the workspace in a folder, within DuckDB's `limits`. Raises SluiceError if it isn't built."""
    entry, values = read_graph(top / "dvc.yaml")[STAGE], read_params(top / PARAMS_FILE)
    folder = next(out.path(values) for out in entry.outs if out.name == STAGE)
    folders = [folder, *(found.path(values) for found in entry.data)]
    try:
        return open_catalog(top / folder / DATABASE, top, folders, limits)
    except (ValueError, duckdb.Error) as error:
        raise SluiceError(next(iter(str(error).splitlines()), "")) from None


class Dataset:
    """A dataset that is read as it is asked for. `where` is an SQL condition on the view `samples`; None means the kept samples."""

    def __init__(self, top: Path) -> None:
        self.top = top
        catalog_of(top).close()  # so that a missing catalog is an error now, not later
        images = next(out for stage in read_graph(top / "dvc.yaml").values() for out in stage.outs if out.name == "images")
        self._images = images

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
        tar = self.top / self._images.path({"item": sample["crawl"]}) / f"{sample['shard']}.tar"
        try:
            return read_at(tar, contents(tar)[sample["key"]])
        except (OSError, KeyError):
            raise SluiceError(f"{tar} has no image {sample['key']}: run `dvc checkout`, or ask for samples whose status is ok") from None

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
