"""Scores: one row per indexed sample, how far each thing about it can be trusted; written by `score`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="scores",
    doc="One row per indexed sample: every detector's score (1 = good) and what they say together",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The record's sample_id"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("given_probability", pa.float32(), "Probability that the given concept is right; null without one", nullable=True),
            column("off_topic_probability", pa.float32(), "Probability that the image shows none of the concepts"),
            column(
                "other_sense_probability",
                pa.float32(),
                "Probability that the image shows another sense of the given concept's word; null where the word has none here",
                nullable=True,
            ),
            column("suggested_concept", pa.string(), "Best guess at the concept"),
            column("suggested_probability", pa.float32(), "Its probability before calibration"),
            column("confidence", pa.float32(), "Its probability after calibration, by people's verdicts once there are enough"),
            column("confidence_error", pa.float32(), "What the row adds to the standard error of the mean confidence of the rows kept"),
            column("label_score", pa.float32(), "1 = the given concept is surely right"),
            column("ood_score", pa.float32(), "1 = the image surely shows one of the concepts"),
            column("text_score", pa.float32(), "1 = the text surely belongs to the image; 0.5 without text"),
            column("probe_score", pa.float32(), "Out-of-fold probability of the given concept"),
            column("vote_score", pa.float32(), "Share of the neighbours' votes for the given concept"),
            column("confident_score", pa.float32(), "Normalised margin of the given concept (confident learning)"),
            column("is_label_issue", pa.bool_(), "Whether confident learning counts the label as an error"),
            column("knn_ood_score", pa.float32(), "Rank of the mean similarity to kept neighbours"),
            column("mahalanobis_score", pa.float32(), "Rank of the relative Mahalanobis distance to the kept set's classes"),
        ]
    ),
)
