from pathlib import Path

import pytest

from tasks.core.errors import WiringError
from tasks.core.graph import Entry, fill, read_graph


@pytest.mark.parametrize(
    ("template", "name", "bound"),
    [
        ("data/records/${item}", "records", True),
        ("data/records", "records", False),
        ("data/models/${item.arm}-${item.seed}", "models", True),
        ("reports/index.html", "index", False),
        ("data/images/${prepare_encoder.crawl}", "images", True),
        ("${clean}", "clean", False),
    ],
)
def test_a_path_has_a_name(template, name, bound):
    assert Entry(template).name == name
    assert Entry(template).bound is bound


def test_placeholders_are_filled_from_items_and_params():
    values = {"item.arm": "raw", "item": "a", "shared": {"clean": "x/y"}}
    assert fill("m/${item.arm}/${item}/${shared.clean}", values) == "m/raw/a/x/y"
    with pytest.raises(WiringError, match=r"nothing gives a value for \$\{shared.dirty\}"):
        fill("${shared.dirty}", values)


def test_foreach_and_plain_stages_are_read(tmp_path):
    (tmp_path / "dvc.yaml").write_text(
        """
stages:
  a: {cmd: python -m tasks.a, deps: [data/x, tasks/a.py], params: [a], outs: [data/y]}
  b:
    foreach: ${crawls}
    do:
      cmd: python -m tasks.b ${item}
      outs: ["data/z/${item}": {persist: true}]
      metrics: ["reports/metrics/b/${item}.json": {cache: false}]
"""
    )
    graph = read_graph(tmp_path / "dvc.yaml")
    assert graph["a"].code == ("tasks/a.py",)
    assert [entry.name for entry in graph["a"].data] == ["x"]
    assert graph["b"].placeholders() == ["item"]
    assert graph["b"].outs[0].path({"item": "c"}) == Path("data/z/c")
