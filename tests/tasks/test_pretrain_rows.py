"""Who passes a filter, out of the tables as `pretrain` reads them."""

from pathlib import Path

import numpy as np
import pytest

from tasks.contracts.embeddings import CONTRACT as EMBEDDINGS
from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.prototypes import CONTRACT as PROTOTYPES
from tasks.core.tables import Artifact, Source
from tasks.methods.arms import FILTERED
from tasks.pretrain_params import FilterParams
from tasks.pretrain_rows import passing_rows
from tests.tasks.test_pretrain import PARAMS, crawl

__all__ = ["crawl"]  # the fixture


def passed(crawl: tuple[Artifact, Source], rows: str) -> np.ndarray:
    top = crawl[1].root.parent
    tables = [Source(contract, top / contract.name, ["alpha"], per_crawl=False) for contract in (EMBEDDINGS, MATCHES, PROTOTYPES)]
    return passing_rows(rows, crawl[1], *tables, Artifact(top / "concepts"), FilterParams.model_validate(PARAMS["filters"]))


def test_every_filter_lets_some_of_the_samples_pass(crawl: tuple[Artifact, Source]) -> None:
    for rows in FILTERED:
        found = passed(crawl, rows)
        assert found.shape == (100,)
        assert 0 < found.sum() < 100, rows


def test_margins_let_those_pass_that_show_the_given_concept(crawl: tuple[Artifact, Source]) -> None:
    told = crawl[1].table(["concept", "suggested_concept"])
    right = np.array(told["concept"].to_pylist()) == np.array(told["suggested_concept"].to_pylist())
    np.testing.assert_array_equal(passed(crawl, "clip_margin"), right)


def test_words_are_the_names_of_the_concepts(crawl: tuple[Artifact, Source], tmp_path: Path) -> None:
    told = crawl[1].table(["alt_text"])["alt_text"].to_pylist()
    assert passed(crawl, "text_based").tolist() == ["lines" in text for text in told]
    (tmp_path / "concepts" / "lines.yaml").write_text("concepts: [{name: img, definition: a picture}, {name: dog, definition: a pet}]")
    assert passed(crawl, "text_based").tolist() == [text == "IMG" for text in told]


def test_an_unknown_filter_is_refused(crawl: tuple[Artifact, Source]) -> None:
    with pytest.raises(ValueError, match="rows='curated' is no filter"):
        passed(crawl, "curated")
