"""The guard lets in one browser, and no request that another page or program made up."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tasks.methods.explore_guard import Guard, TooLarge

HOST, TOKEN = "127.0.0.1:8123", "a-long-token"
OWN = {"origin": f"http://{HOST}"}


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.method} {request.url.path} {len(await request.body())}")


@pytest.fixture
def client() -> TestClient:
    app = Starlette(
        routes=[Route("/{path:path}", echo, methods=["GET", "POST"])],
        exception_handlers={TooLarge: lambda request, error: PlainTextResponse("too large", 413)},
    )
    guarded = Guard(app, token=TOKEN, hosts=[HOST], max_bytes=1000)
    return TestClient(guarded, base_url=f"http://{HOST}", follow_redirects=False)


@pytest.fixture
def inside(client: TestClient) -> TestClient:
    client.get(f"/?token={TOKEN}")
    return client


def test_the_link_gives_a_cookie_that_scripts_and_other_sites_never_see(client):
    answer = client.get(f"/review?a=1&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/review?a=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/x").text == "GET /x 0"


def test_without_the_token_nothing_is_seen(client):
    for path in ("/", "/?token=", "/?token=wrong", f"/?Token={TOKEN}", f"/?token={TOKEN}x"):
        assert client.get(path).status_code == 403, path
    assert client.post(f"/?token={TOKEN}", headers=OWN).status_code == 403
    client.cookies.set("sluice", TOKEN)
    assert client.get("/").status_code == 403


def test_the_link_leads_nowhere_else(client):
    assert client.get(f"http://{HOST}//evil.test/?token={TOKEN}").headers["location"].startswith("/evil.test")


def test_a_foreign_name_for_this_address_is_turned_away(inside):
    for host in ("evil.test", "evil.test:8123", "127.0.0.1", "127.0.0.1:80", "", "localhost"):
        assert inside.get("/", headers={"host": host}).status_code == 421, host


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.test", "http://127.0.0.1:9999", f"https://{HOST}", f"http://{HOST}.evil.test"]
)
def test_a_change_comes_from_this_page_alone(inside, origin):
    headers = {"origin": origin} if origin is not None else {}
    assert inside.post("/", headers=headers).status_code == 403
    assert inside.post("/", headers=OWN).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_port_of_this_machine_is_another_site(inside, site):
    assert inside.get("/", headers={"sec-fetch-site": site}).status_code == 403
    assert inside.get("/", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_large_bodies_are_refused_with_and_without_a_length(inside):
    assert inside.post("/", headers=OWN, content=b"x" * 1000).text == "POST / 1000"
    assert inside.post("/", headers=OWN, content=b"x" * 1001).status_code == 413
    assert inside.post("/", headers=OWN, content=(b"x" * 100 for _ in range(11))).status_code == 413


def test_every_answer_says_what_the_page_may_do(client, inside):
    for answer in (client.get("/", headers={"host": "evil.test"}), inside.get("/")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_other_protocols_are_refused(inside):
    with pytest.raises(ValueError, match="speaks HTTP, not websocket"), inside.websocket_connect("/"):
        pass
