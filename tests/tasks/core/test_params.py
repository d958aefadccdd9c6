from typing import Literal

import pytest
from pydantic import Field

from tasks.core.errors import CrawlError, ParamsError
from tasks.core.params import Params, crawl_names, read_params, section


class ToyParams(Params):
    colour: Literal["red", "blue"]
    share: float = Field(gt=0, le=1)


GOOD = {"colour": "red", "share": 0.5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "params.yaml has no section 'toy': add it (known: )"),
        ({"toy": GOOD | {"colur": "red"}}, "params.yaml: unknown key 'toy.colur' (known: colour, share)"),
        ({"toy": {"colour": "red"}}, "params.yaml: key 'toy.share' is missing"),
        ({"toy": GOOD | {"share": 2.0}}, "params.yaml: 'toy.share' is 2.0: Input should be less than or equal to 1"),
        ({"toy": GOOD | {"colour": "green"}}, "params.yaml: 'toy.colour' is 'green': Input should be 'red' or 'blue'"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ParamsError) as caught:
        section(ToyParams, "toy", values)
    assert str(caught.value) == message


def test_a_right_section_is_typed_and_frozen():
    params = section(ToyParams, "toy", {"toy": GOOD})
    assert params.share == 0.5
    with pytest.raises(ValueError, match="frozen"):
        params.share = 1.0


def test_missing_file_and_bad_yaml(tmp_path):
    with pytest.raises(ParamsError, match="not found: run this from the top folder"):
        read_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="is not valid YAML"):
        read_params(tmp_path / "params.yaml")


def test_crawl_names():
    assert crawl_names({"crawls": ["a", "b-1"]}) == ["a", "b-1"]
    assert crawl_names({"crawls": ["c"], "sealed": ["a", "b-1"]}) == ["a", "b-1", "c"]
    with pytest.raises(ParamsError, match="names a crawl twice: a, a"):
        crawl_names({"crawls": ["a"], "sealed": ["a"]})
    with pytest.raises(ParamsError, match="'sealed' must be a list"):
        crawl_names({"crawls": ["a"], "sealed": "a"})
    with pytest.raises(ParamsError, match="names a crawl twice: a, a"):
        crawl_names({"crawls": ["a", "a"]})
    with pytest.raises(CrawlError, match="is not allowed"):
        crawl_names({"crawls": ["a; rm -rf ."]})
    with pytest.raises(ParamsError, match="must be a list"):
        crawl_names({"crawls": "a"})
