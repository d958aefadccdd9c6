"""The explorer's pages over a desk in memory: what they show, what they save, what they refuse."""

import re

import pytest
from starlette.testclient import TestClient

from tasks.methods.explore_app import MAX_SQL, make_app
from tests.hostile import TEXTS, URLS
from tests.tasks.methods.explore_desk import PNG, FakeDesk, row

HOST = "127.0.0.1:8123"
OWN = {"origin": f"http://{HOST}"}
FIRST = f"{0:032x}"


def open_client(desk: FakeDesk) -> TestClient:
    client = TestClient(make_app(desk, token="t", hosts=[HOST]), base_url=f"http://{HOST}")
    assert client.get("/?token=t").status_code == 200
    return client


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk([row(0), row(1, keep=True, reason=None, curated_concept="cat"), row(2, pictured=False)])


@pytest.fixture
def client(desk: FakeDesk) -> TestClient:
    return open_client(desk)


def test_search_by_words_and_state(client):
    page = client.get("/", params={"q": "text 1", "by": "words", "state": "kept"}).text
    assert page.count("<figcaption>") == 1
    assert f'href="/sample/{1:032x}"' in page
    assert '<option value="kept" selected>' in page
    assert client.get("/", params={"q": "nowhere", "by": "words"}).text.count("<figcaption>") == 0


def test_what_can_not_be_had_is_said_on_the_page(client):
    page = client.get("/", params={"q": "a cat", "by": "picture"}).text
    assert "no index in data/index: run `dvc repro index` first" in page


def test_search_by_a_picture(client):
    assert client.post("/like", headers=OWN, files={"picture": ("x.png", PNG)}).text.count("<figcaption>") == 3
    answer = client.post("/like", headers=OWN, files={"picture": ("x.png", b"nothing")})
    assert (answer.status_code, "no picture that can be read" in answer.text) == (400, True)
    assert client.post("/like", headers=OWN, data={"picture": "text"}).status_code == 400


def test_a_sample_tells_its_story(client):
    page = client.get(f"/sample/{FIRST}").text
    for words in ("dropped: label noise", "What would change it", "a lower target", "Its nearest neighbours", f"/review/{FIRST}"):
        assert words in page
    assert client.get(f"/sample/{5:032x}").status_code == 404
    assert client.get("/sample/..%2f..%2fetc").status_code == 404


def test_a_picture_that_may_not_be_shown_is_not(client):
    answer = client.get(f"/picture/{FIRST}")
    assert (answer.headers["content-type"], answer.content) == ("image/png", PNG)
    assert client.get(f"/picture/{2:032x}").status_code == 404
    assert f"/picture/{2:032x}" not in client.get("/").text
    assert client.get(f"/review/{2:032x}").status_code == 404


def test_a_verdict_is_saved_and_the_next_sample_comes(client, desk):
    page = client.get("/review").text
    assert re.findall(r'value="(\w+:\w+|\w+)" data-key="(\w)"', page) == [
        ("confirmed:cat", "c"), ("corrected:dog", "1"), ("corrected:emu", "2"), ("dropped", "d"), ("skip", "s"),
    ]  # fmt: skip
    page = client.post(f"/review/{FIRST}", headers=OWN, data={"verdict": "corrected:dog"}).text
    assert desk.heard == [(FIRST, "corrected", "dog")]
    assert f'action="/review/{1:032x}"' in page
    page = client.post(f"/review/{FIRST}", headers=OWN, data={"verdict": "withdrawn"}).text
    assert f'action="/review/{FIRST}"' in page
    client.post(f"/review/{FIRST}", headers=OWN, data={"verdict": "skip"})
    client.post(f"/review/{1:032x}", headers=OWN, data={"verdict": "dropped"})
    assert desk.skipped == [FIRST]
    assert desk.heard[-1] == (f"{1:032x}", "dropped", None)
    assert "Nothing waits for review." in client.get("/review").text


def test_nonsense_and_foreign_pages_save_nothing(client, desk):
    assert client.post(f"/review/{FIRST}", headers=OWN, data={"verdict": "liked"}).status_code == 400
    assert client.post(f"/review/{FIRST}", headers=OWN).status_code == 400
    assert client.post(f"/review/{FIRST}", data={"verdict": "dropped"}).status_code == 403
    assert client.get(f"/review/{FIRST}", params={"verdict": "dropped"}).status_code == 200
    assert desk.heard == []


def test_sql_answers_are_tables_and_faults_are_sentences(client):
    page = client.get("/sql", params={"sql": "SELECT 1"}).text
    assert "3 rows and more" in page
    assert f'<a href="/sample/{FIRST}">' in page
    answer = client.get("/sql", params={"sql": "boom"})
    assert (answer.status_code, "Parser Error: no" in answer.text) == (400, True)
    assert client.get("/sql", params={"sql": "x" * (MAX_SQL + 1)}).status_code == 400
    assert "one row per sample" in client.get("/sql").text


def test_other_ways_are_closed(client):
    assert client.get("/asset/explore.css").headers["content-type"].startswith("text/css")
    assert client.get("/asset/explore_app.py").status_code == 404
    assert client.get("/nothing").status_code == 404
    assert client.delete("/review/" + FIRST, headers=OWN).status_code == 405


def test_hostile_texts_are_text_on_every_page():
    rows = [row(place, alt_text=text, url=URLS[place % len(URLS)], concept=text[:80]) for place, text in enumerate(TEXTS)]
    client = open_client(FakeDesk(rows))
    for path in (
        "/",
        "/review",
        "/sql?sql=x",
        *(f"/sample/{found['sample_id']}" for found in rows),
        *(f"/review/{found['sample_id']}" for found in rows),
    ):
        page = client.get(path).text
        assert len(page) < 300_000
        assert page.count("<script") == 1  # our own
        assert not re.search(r"<(svg|iframe|object|style|img(?! src=\"/picture/))", page)
        assert not re.search(r"""\s(on\w+|style)\s*=\s*["'`]""", re.sub(r">[^<]*<", "><", re.sub(r'="[^"]*"', "=x", page)))
        assert {found.partition("/")[0] for found in re.findall(r'(?:href|src|action)="([^"]*)"', page)} <= {"", "#main", "data:,"}
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]", page)
