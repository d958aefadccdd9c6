"""Records: one row per sample of a crawl, failures included; written by `ingest` beside the tar shard that holds the images."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="records",
    doc="One row per distinct (url, alt_text, concept) of a crawl's manifest, whether it could be fetched or not",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "128-bit hash of url, alt_text and concept, 32 hex digits; the same in every crawl"),
            column("image_id", pa.string(), "128-bit hash of the url, 32 hex digits; samples that share an image share it"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("shard", pa.string(), "Shard of the crawl that holds the image"),
            column("key", pa.string(), "WebDataset key of the image in its tar shard"),
            column("url", pa.string(), "Address of the image, as given"),
            column("alt_text", pa.string(), "Text that came with the image, as given; empty if none"),
            column("concept", pa.string(), "Concept that the image was searched for; null in crawls of image-text pairs", nullable=True),
            column("page_url", pa.string(), "Address of the page that showed the image, as given", nullable=True),
            column("extra", pa.string(), "The manifest's other columns as JSON", nullable=True),
            column("status", pa.string(), "ok or failed"),
            column("detail", pa.string(), "Fine class of a failure: dns, timeout, http_404, robots, not_an_image, ...", nullable=True),
            column("sha256", pa.string(), "SHA-256 of the bytes as downloaded", nullable=True),
            column("bytes", pa.int64(), "Size of the download in bytes", nullable=True),
            column("format", pa.string(), "Format of the download: jpeg, png, webp, ...", nullable=True),
            column("width", pa.int32(), "Width of the stored image in pixels", nullable=True),
            column("height", pa.int32(), "Height of the stored image in pixels", nullable=True),
            column("original_width", pa.int32(), "Width of the downloaded image in pixels", nullable=True),
            column("original_height", pa.int32(), "Height of the downloaded image in pixels", nullable=True),
            column("phash", pa.uint64(), "64-bit perceptual hash of the image", nullable=True),
            column("phash_mirrored", pa.uint64(), "64-bit perceptual hash of the mirrored image", nullable=True),
            column("thumbnail", pa.binary(), "32 x 32 grey pixels, row by row: confirms copies without decoding again", nullable=True),
            column("safety", pa.string(), "Scores of the crawl's scorer as JSON, each in [0, 1] and 1 = good", nullable=True),
        ]
    ),
)
# What is known of a row before its image: the other columns are the image's own, the same for all rows that share it.
GIVEN = ("sample_id", "image_id", "crawl", "shard", "key", "url", "alt_text", "concept", "page_url", "extra", "status", "detail")
CONTENT = tuple(name for name in CONTRACT.schema.names if name not in GIVEN)
