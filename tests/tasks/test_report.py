"""The page holds what the tables say, nothing hostile gets through, and it stays one small file."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pyarrow.parquet as pq
import pytest

from tasks.contracts.curated import CONTRACT as SAMPLES
from tasks.core.errors import ParamsError, ShardError
from tasks.core.tables import Artifact
from tasks.methods.tars import Entry, read_images, write_images
from tasks.report import report
from tests.tasks.conftest import write_table
from tests.tasks.report_data import CRAWLS, PARAMS, arguments, make_dataset


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def metrics(top):
    return report(**make_dataset(top))


@pytest.fixture(scope="module")
def page(top, metrics):
    return (top / "index.html").read_text()


class Reader(HTMLParser):
    """Tags with their attributes, and ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_counts_pictures(metrics):
    assert 80 < metrics["pictures"] < 260


def test_opens_with_what_went_in_what_is_kept_and_what_it_bought(page):
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "320 rows came out of the web. 205 of them are kept , 19 under another concept than the one they came with." in text
    assert "Curation bought 16.0 points of accuracy at 4,000 samples seen each over &#39;raw&#39;" in text


def test_the_funnel_adds_up(page):
    table = page[page.index('id="funnel-caption"') :]
    table = table[: table.index("</table>")]
    rows = [re.findall(r'<td class="n">([\d\u202f]+)</td>', row) for row in table.split("<tr")[2:]]
    assert sum(int(row[0].replace("\u202f", "")) for row in rows) == 320


def test_what_each_arm_keeps_stands_beside_what_it_gains(page):
    table = page[page.index('id="share-caption"') :].partition("</table>")[0]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in table.split("<tr")[2:]]
    assert cells == [
        ["raw", "290", "100\u202f%", "62.5\u202f%", "–", "–", "2"],
        ["random", "205", "71\u202f%", "60.5\u202f%", "-2.0", "-5.0 to +1.0", "2"],
        ["curated", "205", "71\u202f%", "78.5\u202f%", "+16.0", "+12.0 to +20.0", "2"],
    ]
    assert "Accuracy by share kept: raw 62.5 % of 100 %" in page


def test_crawls_stand_against_those_before_them(page):
    table = page[page.index('id="drift-caption"') :].partition("</table>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr")[2:]]
    assert [row[0] for row in rows] == ["160", "160"]
    assert rows[0][-4:] == ["–"] * 4
    assert all(re.fullmatch(r"[\d.]+\u202f%", cell) for cell in rows[1][-4:])
    assert "What moved most" in page


def test_nothing_is_asked_of_the_network(page):
    found = Reader(page)
    assert found.all("script") == found.all("link")[1:] == found.all("iframe") == []
    assert {image["src"].partition(",")[0] for image in found.all("img")} == {"data:image/webp;base64"}
    assert all(link["href"].startswith("#") for link in found.all("a"))
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    policy = next(meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_hostile_texts_are_shown_as_text(page):
    assert "<script>document" not in page
    assert "&lt;script&gt;document" in page
    assert "autofocus onfocus=&#34;" in page
    assert "{{ 7 * 7 }}" in page
    assert "&lt;i&gt;five&lt;/i&gt;" in page  # a concept's definition
    assert "\\u202egnp.exe\\u2066" in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\x00\x1b]", page)
    assert not re.search(r"""<[^>]*\s(on\w+)=""", re.sub(r'="[^"]*"', "=x", page))


def test_filters_stand_beside_what_they_filter(page):
    found = Reader(page)
    choices = [one["id"] for one in found.all("input")]
    assert len(choices) == len(set(choices))
    assert all(label["for"] in choices for label in found.all("label"))
    rules = re.findall(r"\.browse:has\(#(browse-\w+):checked\) \.sheet > li:not\(\.(\w+)\)", page)
    assert {mark for mark, _ in rules} == {mark for mark in choices if re.fullmatch(r"browse-[sc]\d+", mark)}
    used = {mark for one in found.all("li") for mark in (one.get("class") or "").split()}
    assert {mark for _, mark in rules} == used


def test_the_threshold_in_force_is_on_the_curve_and_between_the_close_calls(page):
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "The threshold in force, 0.5500, promises" in text
    assert page.index("Just kept") < page.index("Just dropped")


def test_the_map_shows_every_group(page):
    assert {one["id"] for one in Reader(page).all("input") if one["type"] == "checkbox"} == {
        "map-kept", "map-label_noise", "map-out_of_distribution", "map-duplicate", "map-other",
    }  # fmt: skip


def test_all_modules_of_the_label_are_there(page):
    for module in ("Metadata", "Provenance", "Variables", "statistics", "Pair plots", "Probabilistic model", "Ground truth correlations"):
        assert module in page[page.index('id="label-title"') :], module


def test_what_may_not_be_shown_is_not(top):
    rows = pq.read_table(top / "curated/samples/crawl=alpha/00000.parquet").to_pylist()
    hidden = [row["key"] for row in rows if row["status"] == "ok"][:40]
    changed = [row | ({"reason": "blocked", "reasons": ["blocked"], "keep": False} if row["key"] in hidden else {}) for row in rows]
    elsewhere = arguments(top) | {"index": Artifact(top / "hidden.html")}
    before = (top / "curated/samples/crawl=alpha/00000.parquet").read_bytes()
    write_table(SAMPLES, top / "curated", changed, per_crawl=False)
    tar = top / "images/alpha/00000.tar"
    kept = [Entry(key, "jpg", data, "", {}) for key, data in read_images(tar) if key not in hidden]
    whole = tar.read_bytes()
    write_images(tar, kept)  # a page that asked for one of them would fail
    report(**elsewhere)
    tar.write_bytes(whole)
    (top / "curated/samples/crawl=alpha/00000.parquet").write_bytes(before)


def test_every_picture_has_a_text_and_waits_its_turn(page):
    pictures = Reader(page).all("img")
    assert len(pictures) > 100
    assert all(picture["alt"] and picture["loading"] == "lazy" and picture["decoding"] == "async" for picture in pictures)


def test_landmarks_and_headings_for_keyboard_and_ear(page):
    found = Reader(page)
    assert len(found.all("main")) == len(found.all("nav")) == len(found.all("h1")) == 1
    assert found.tags[[name for name, _ in found.tags].index("body") + 1][1]["href"] == "#main"
    ids = {attributes["id"] for _, attributes in found.tags if "id" in attributes}
    assert all(link["href"][1:] in ids for link in found.all("a"))
    assert all(attributes["aria-labelledby"] in ids for _, attributes in found.tags if "aria-labelledby" in attributes)
    levels = [int(name[1]) for name, _ in found.tags if re.fullmatch("h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_relabelled_pictures_stand_under_what_they_show(page):
    kept = page[page.index('id="kept-title"') : page.index('id="dropped-title"')]
    assert 'class="wrong"' in kept


def test_the_same_input_gives_the_same_bytes(top, page):
    report(**arguments(top))
    assert (top / "index.html").read_text() == page


def test_without_models_it_says_that_nothing_is_measured(top):
    changed = arguments(top)
    for name in ("evaluate", "models", "predictions"):
        where = changed[name].path if name != "predictions" else changed[name].root
        where.rename(where.with_name(f"away-{where.name}"))
    report(**changed)
    assert "What the cleaning bought is not measured yet." in (top / "index.html").read_text()
    for name in ("evaluate.json", "models", "predictions"):
        (top / f"away-{name}").rename(top / name)


def test_a_page_too_large_is_an_error_with_the_way_out(top):
    small = PARAMS.model_copy(update={"max_megabytes": 0.05})
    with pytest.raises(ParamsError, match=r"the report has 0\.\d MB, more than report.max_megabytes: show fewer pictures"):
        report(**arguments(top) | {"params": small})


def test_a_missing_tar_is_named(top):
    tar = top / "images" / CRAWLS[0] / "00000.tar"
    tar.rename(tar.with_suffix(".away"))
    with pytest.raises(ShardError, match="pictures of shard alpha/00000 can't be read"):
        report(**arguments(top))
    tar.with_suffix(".away").rename(tar)
