"""Hold out: the demo's clean test sets, out of a seed; deduplicate looks for copies of them in the crawls."""

import pyarrow.parquet as pq
from pydantic import Field

from tasks.core.files import write_folder_atomically
from tasks.core.params import Params
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact
from tasks.methods.demo_clean import make_clean_sets


class SetSizes(Params):
    """Pictures per clean set."""

    in_domain_test: int = Field(gt=0)
    near_domain_train: int = Field(gt=0)
    near_domain_test: int = Field(gt=0)


class HoldOutParams(Params):
    """The clean sets' seed and sizes."""

    seed: int
    rows: SetSizes


def hold_out(clean: Artifact, params: HoldOutParams) -> Metrics:
    """Write one Parquet file (image, alt_text, concept) per set."""
    sets = make_clean_sets(seed=params.seed, rows=params.rows.model_dump())
    with write_folder_atomically(clean.path) as folder:
        for name, table in sets.items():
            pq.write_table(table, folder / f"{name}.parquet", compression="none")
    return {name: table.num_rows for name, table in sets.items()}


if __name__ == "__main__":
    main(hold_out)
