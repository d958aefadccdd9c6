"""The local server is found again, and one that isn't ours is left alone."""

import json
import os

import pytest

from flows import server


def test_environment_points_to_home_and_address(tmp_path):
    variables = server.environment(tmp_path, "http://127.0.0.1:1/api")
    assert variables["PREFECT_HOME"] == str(tmp_path)
    assert variables["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert variables["DO_NOT_TRACK"] == "1"
    assert variables["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_API_URL" not in server.environment(tmp_path)


def test_a_process_that_is_no_server_is_never_ended(tmp_path):
    (tmp_path / "server.json").write_text(json.dumps({"pid": os.getpid(), "port": 1, "url": "http://127.0.0.1:1/api"}))
    assert server.stop(tmp_path) is False


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_note_counts_as_none(tmp_path, text):
    (tmp_path / "server.json").write_text(text)
    assert server.stop(tmp_path) is False


def test_the_remembered_port_is_taken_again_if_free():
    port = server._port(None)
    assert server._port({"port": port}) == port


def test_an_unknown_word_says_what_there_is(tmp_path):
    with pytest.raises(server.ServerError, match=r"use: python -m flows.server start \| env \| stop"):
        server.main(["begin"], tmp_path)
