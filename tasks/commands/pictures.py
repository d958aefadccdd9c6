"""Read stored pictures: one image's bytes out of the tar shards of the project in the working directory."""

from functools import cached_property, lru_cache
from pathlib import Path
from tarfile import TarError

from tasks.core.errors import ShardError
from tasks.core.graph import PLACEHOLDER, read_graph
from tasks.methods.tar_index import Place, places, read_at

STAGE, OUT = "ingest", "images"
OPEN_SHARDS = 64  # tars whose tables of contents are kept in memory, some hundred kB each


class StoredPictures:
    """The pictures of all crawls."""

    @cached_property
    def root(self) -> Path:
        """The folder that holds one folder per crawl."""
        out = next(out for out in read_graph()[STAGE].outs if out.name == OUT)
        return Path(PLACEHOLDER.sub("", out.template))

    def read(self, crawl: str, shard: str, key: str) -> tuple[bytes, str]:
        """Bytes and file name's extension of one picture. Raises ShardError if it isn't there."""
        path = self.root / crawl / f"{shard}.tar"
        try:
            place = _places(path, path.stat().st_mtime_ns)[key]  # a shard made anew is read anew
            return read_at(path, place), place.extension
        except (OSError, TarError, KeyError) as error:
            raise ShardError(
                f"picture {key} of shard {crawl}/{shard} can't be read ({type(error).__name__}): run `dvc repro` again"
            ) from None


@lru_cache(maxsize=OPEN_SHARDS)
def _places(path: Path, _changed: int) -> dict[str, Place]:
    """The shard's table of contents, as of its time of change."""
    return places(path)
