"""Run the `ingest` stage on a crawl's folder, without DVC: FOLDER/crawl becomes FOLDER/images and FOLDER/records.

python -m benchmarks.ingest_stage FOLDER WORKERS FAILURES
"""

import json
import sys
from pathlib import Path

from tasks.contracts.records import CONTRACT
from tasks.core.arrow import spare_pandas
from tasks.core.settings import prepare_environment
from tasks.core.shards import ProcessPool
from tasks.core.tables import Artifact, Sink
from tasks.ingest import ingest

CRAWL = "photos"


def main(folder: Path, workers: int, failures: int) -> None:
    prepare_environment()
    spare_pandas()
    records = Sink(CONTRACT, folder / "records", [CRAWL], bound_crawl=CRAWL)
    metrics = ingest(Artifact(folder / "crawl"), Artifact(folder / "images"), records, CRAWL, ProcessPool(workers))
    print(json.dumps(metrics), file=sys.stderr)
    if metrics["rows"] - metrics["ok"] != failures:
        sys.exit(f"{metrics['rows'] - metrics['ok']} rows, not {failures}, have no image: {metrics['details']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
