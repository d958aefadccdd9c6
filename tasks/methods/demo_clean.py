"""Make the demo's clean test sets: pictures with right concepts and texts that no crawl shows, but for the copies planted as leaks."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tasks.methods.demo_files import alter, encode
from tasks.methods.demo_pictures import make_picture, seed_of
from tasks.methods.demo_texts import make_text

IN_DOMAIN = "in_domain_test"
CONCEPTS = ("astronaut", "cat", "coffee", "coin", "flower", "horse", "moon", "motorcycle", "pagoda", "rocket")
NEAR_CONCEPTS = ("fish", "galaxy", "house", "photographer", "sailboat", "tissue", "tree", "umbrella")
SETS = {IN_DOMAIN: CONCEPTS, "near_domain_train": NEAR_CONCEPTS, "near_domain_test": NEAR_CONCEPTS}
SCHEMA = pa.schema([("image", pa.binary()), ("alt_text", pa.string()), ("concept", pa.string())])


def make_clean_sets(*, seed: int, rows: Mapping[str, int]) -> dict[str, pa.Table]:
    """One table (image, alt_text, concept) per set named in `rows`, its concepts equally often.

    Raises ValueError for an unknown set.
    """
    for name in rows:
        if name not in SETS:
            raise ValueError(f"no clean set '{name}': make {', '.join(SETS)}")
    return {name: pa.Table.from_pylist([_row(name, number, seed) for number in range(n)], schema=SCHEMA) for name, n in rows.items()}


def make_leak(*, number: int, clean_seed: int, rng: np.random.Generator) -> tuple[str, str, bytes, str]:
    """A copy of picture `number` of in_domain_test, every second one exact: (concept, picture id, bytes, file extension)."""
    concept, picture_id = _place(IN_DOMAIN, number, clean_seed)
    pixels = make_picture(subject=concept, picture_id=picture_id)
    if number % 2:
        return concept, picture_id, *encode(alter(pixels, rng=rng), rng=rng)
    return concept, picture_id, *_encoded(pixels, concept, picture_id)


def _row(name: str, number: int, seed: int) -> dict[str, object]:
    concept, picture_id = _place(name, number, seed)
    image, _ = _encoded(make_picture(subject=concept, picture_id=picture_id), concept, picture_id)
    text = make_text(kind="specific", subject=concept, rng=np.random.default_rng(seed_of(picture_id, "text")))
    return {"image": image, "alt_text": text, "concept": concept}


def _place(name: str, number: int, seed: int) -> tuple[str, str]:
    concepts = SETS[name]
    return concepts[number % len(concepts)], f"{name}/{seed}/{number}"


def _encoded(pixels: np.ndarray, concept: str, picture_id: str) -> tuple[bytes, str]:
    return encode(pixels, rng=np.random.default_rng(seed_of(concept, picture_id, "file")))
