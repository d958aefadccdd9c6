"""Generate: a demo crawl with its manifest, the small web behind it, and the truth about every row, out of a seed.

The truth is for scoring alone: no stage takes it.
"""

import pyarrow.parquet as pq
from pydantic import Field

from tasks.core.crawls import CrawlSettings, write_crawl
from tasks.core.errors import ParamsError
from tasks.core.files import write_folder_atomically
from tasks.core.params import Params
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact
from tasks.methods.demo_web import make_crawl
from tasks.methods.manifests import image_ids, sample_ids


class DemoParams(Params):
    """One demo crawl; `leaks` of its rows are copies of pictures of the clean test set."""

    rows: int = Field(ge=100)
    seed: int
    leaks: int = Field(ge=0)


class GenerateParams(Params):
    """How the demo crawls are made; `settings` are frozen in each crawl's folder, as `sluice crawl add` does with other crawls."""

    crawls: dict[str, DemoParams]
    clean_seed: int  # hold_out's seed, so that the leaks are copies of its pictures
    settings: CrawlSettings


def generate(crawl: str, crawls: Artifact, truth: Artifact, params: GenerateParams) -> Metrics:
    """Write manifest, web and settings to the crawl's folder, and the truth beside it."""
    if crawl not in params.crawls:
        raise ParamsError(f"params.yaml: 'generate.crawls' has no '{crawl}': add its rows, seed and leaks, or take it out of `demos`")
    demo = params.crawls[crawl]
    try:
        made = make_crawl(name=crawl, seed=demo.seed, n_rows=demo.rows, n_leaks=demo.leaks, clean_seed=params.clean_seed)
    except ValueError as error:
        raise ParamsError(str(error)) from None
    urls, texts, concepts = (made.manifest[name].to_pylist() for name in ("url", "alt_text", "concept"))
    ids = sample_ids(urls, texts, concepts)
    columns = {"sample_id": ids, "image_id": image_ids(urls), "extra": [None] * len(urls)}
    manifest = made.manifest
    for name, values in columns.items():
        manifest = manifest.append_column(name, [values])
    first = sorted({identity: place for place, identity in reversed(list(enumerate(ids)))}.values())  # a text drawn twice for one address
    manifest = manifest.take(first)
    write_crawl(crawls.path, manifest, params.settings, made.web)
    with write_folder_atomically(truth.path) as folder:
        pq.write_table(made.truth.take(first), folder / "truth.parquet", compression="zstd")
    return {"rows": manifest.num_rows, "files": made.web.num_rows}


if __name__ == "__main__":
    main(generate)
