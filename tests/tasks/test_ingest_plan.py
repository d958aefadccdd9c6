"""What a shard is made of decides whether it is made again."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.crawls import CrawlSettings
from tasks.core.portions import Portion
from tasks.core.tables import Shard
from tasks.ingest_plan import origin_of, recipe_of
from tests.tasks.test_ingest import SETTINGS

ROWS = [{"image_id": "a", "url": "http://demo.test/a"}, {"image_id": "b", "url": "http://demo.test/b"}]


class Unknown:
    """No image is known from an earlier crawl."""

    def tables(self, images: object, columns: object) -> list[object]:
        return []


@pytest.fixture
def portion(tmp_path: Path) -> Portion:
    return Portion(Shard("one", "00000"), tmp_path / "manifest.parquet", 0, 2, 2)


def origin(
    portion: Portion, *, rows: object = ROWS, web: str | None = None, blocked: frozenset[str] = frozenset(), **changes: object
) -> str:
    settings = CrawlSettings.model_validate(SETTINGS | changes)
    return origin_of(portion.list.parent, portion, rows, frozenset(), Unknown(), settings=settings, web=web, blocked=blocked)


def test_rows_settings_web_and_block_lists_make_the_origin(portion):
    first = origin(portion)
    assert origin(portion) == first
    others = [
        origin(portion, rows=ROWS[:1]),
        origin(portion, quality=80),
        origin(portion, web="another"),
        origin(portion, blocked=frozenset({"bad.example"})),
        origin(replace(portion, shard=Shard("one", "00001"))),
    ]
    assert len({first, *others}) == 6


def test_images_that_moved_to_a_retry_change_the_recipe_and_not_the_origin(portion):
    moved = replace(portion, moved=frozenset({"b", "a"}))
    first = origin(portion)
    assert origin(moved) == first
    assert recipe_of(first, portion) == first
    assert recipe_of(first, moved).startswith(f"{first}:")
    assert recipe_of(first, moved) != recipe_of(first, replace(portion, moved=frozenset({"a"})))
