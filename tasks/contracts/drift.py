"""Drift: how far each crawl lies from all crawls before it; written by `drift`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="drift",
    doc="One row per crawl and measure: how far the crawl lies from all crawls before it together; none for the first one",
    key=("crawl", "measure"),
    partitioned=False,
    schema=pa.schema(
        [
            column("crawl", pa.string(), "Name of the crawl"),
            column("measure", pa.string(), "frechet, label_shift, matched_shift, concepts, words, hosts, noise or copies"),
            column("value", pa.float64(), "0 = no difference; more is further; noise and copies: the share that the crawl has more"),
            column("most", pa.float64(), "The largest value that params.yaml calls usual"),
            column("exceeded", pa.bool_(), "Whether value is above it"),
            column("n_rows", pa.int64(), "Decodable rows of the crawl that no crawl before it had"),
            column("n_rows_before", pa.int64(), "Decodable rows of all crawls before it"),
        ]
    ),
)
