"""What `pretrain` and `sluice export --baseline` read to know which samples pass another project's filter."""

import numpy as np

from tasks.core.concepts import load_concepts
from tasks.core.tables import Artifact, Source
from tasks.methods.alignment import matrix
from tasks.methods.arms import CAPTIONED, SEEING, passing
from tasks.pretrain_params import FilterParams


def passing_rows(
    rows: str, curated: Source, embeddings: Source, matches: Source, prototypes: Source, concepts: Artifact, params: FilterParams
) -> np.ndarray:
    """(n,) bool over the samples of `curated`: who passes the filter of the arm `rows`; embeddings are read where the filter looks at them.

    Raises ValueError for an unknown filter.
    """
    words = [word for concept in load_concepts(concepts.path) for word in (concept.name, *concept.synonyms)]
    found = embeddings.table(["sample_id", "image_embedding"]) if rows in SEEING else None
    vectors = None if found is None else (found["sample_id"], matrix(found["image_embedding"]))
    fits = matches.table(["sample_id", "text_similarity", "is_anchor"])
    meant = prototypes.table(["concept", "kind", "embedding"])
    return passing(curated.table(CAPTIONED), fits, vectors, meant, rows=rows, words=words, **params.model_dump())
