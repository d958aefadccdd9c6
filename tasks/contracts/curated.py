"""Samples: the public table, one row per distinct sample with the decision about it; written by `curate`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="samples",
    doc="One row per distinct (url, alt_text, concept), failures included: what it is, how good it is, and whether it is kept",
    key=("sample_id",),
    folder="samples",
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "128-bit hash of url, alt_text and concept, 32 hex digits; the same in every crawl"),
            column("image_id", pa.string(), "128-bit hash of the url, 32 hex digits; an image that several samples share is stored once"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("shard", pa.string(), "Shard of the crawl that holds the image"),
            column("key", pa.string(), "WebDataset key of the image in its tar shard"),
            column("url", pa.string(), "Address of the image, as given"),
            column("alt_text", pa.string(), "Text that came with the image, as given; empty if none"),
            column("concept", pa.string(), "Concept that the image was searched for; null in crawls of image-text pairs", nullable=True),
            column("page_url", pa.string(), "Address of the page that showed the image, as given", nullable=True),
            column("status", pa.string(), "ok or failed"),
            column("detail", pa.string(), "Fine class of a failure: dns, timeout, http_404, robots, not_an_image, ...", nullable=True),
            column("sha256", pa.string(), "SHA-256 of the bytes as downloaded", nullable=True),
            column("bytes", pa.int64(), "Size of the download in bytes", nullable=True),
            column("format", pa.string(), "Format of the download", nullable=True),
            column("width", pa.int32(), "Width of the stored image in pixels", nullable=True),
            column("height", pa.int32(), "Height of the stored image in pixels", nullable=True),
            column("original_width", pa.int32(), "Width of the downloaded image in pixels", nullable=True),
            column("original_height", pa.int32(), "Height of the downloaded image in pixels", nullable=True),
            column("keep", pa.bool_(), "Whether the sample is in the curated set"),
            column("reason", pa.string(), "The first reason against the sample, in the funnel's order; null when kept", nullable=True),
            column("reasons", pa.list_(pa.string()), "Every reason against the sample; empty when kept"),
            column("curated_concept", pa.string(), "Concept after curation; null unless kept", nullable=True),
            column("suggested_concept", pa.string(), "Best guess for every decodable image, kept or not", nullable=True),
            column("verdict", pa.string(), "right, wrong_concept or off_topic; null for pairs without concept", nullable=True),
            column("confidence", pa.float32(), "Calibrated probability that suggested_concept is right", nullable=True),
            column("label_score", pa.float32(), "1 = the given concept is surely right", nullable=True),
            column("ood_score", pa.float32(), "1 = the image surely shows one of the concepts", nullable=True),
            column("text_score", pa.float32(), "1 = the text surely belongs to the image; 0.5 without text", nullable=True),
            column("near_duplicate_score", pa.float32(), "1 = no copy known, 0 = an exact copy", nullable=True),
            column("duplicate_group", pa.string(), "sample_id of the first-seen member of the group of copies", nullable=True),
            column("duplicate_of", pa.string(), "sample_id of the group's survivor, for a copy that was dropped", nullable=True),
            column("weight", pa.float32(), "Weight for training; 0 unless kept"),
            column("split", pa.string(), "train, val or test, by hash of the group of copies", nullable=True),
            column("fold", pa.int8(), "Fold for out-of-fold predictions, by hash of the group of copies", nullable=True),
            column(
                "review_priority", pa.float32(), "Expected gain of asking a person about this sample; 0 once one has said", nullable=True
            ),
            column("reviewed", pa.string(), "A person's verdict: confirmed, corrected or dropped, if one was given", nullable=True),
        ]
    ),
)
