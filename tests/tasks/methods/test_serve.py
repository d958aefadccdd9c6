"""The embedded web answers over real sockets, keeps connections, counts, and ends with its block."""

import http.client
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.methods.serve import EmbeddedWeb


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "web.parquet"
    files = {"img/1.jpg": b"\xff\xd8\xffone", "img/2.png": b"two" * 5000, "empty.jpg": b"", "private/3.jpg": b"secret"}
    pq.write_table(pa.table({"path": list(files), "bytes": pa.array(files.values(), pa.binary())}), path)
    return path


def get(connection, path, method="GET"):
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read()


def test_files_robots_and_404_over_one_connection(packed):
    with EmbeddedWeb(packed) as web:
        connection = http.client.HTTPConnection(*web.address, timeout=5)
        assert get(connection, "/img/1.jpg") == (200, "image/jpeg", b"\xff\xd8\xffone")
        first = connection.sock
        assert get(connection, "/img/2.png?width=3") == (200, "image/png", b"two" * 5000)
        assert get(connection, "/empty.jpg") == (200, "image/jpeg", b"")
        assert get(connection, "/robots.txt") == (200, "text/plain", b"User-agent: *\nDisallow: /private/\n")
        assert get(connection, "/none.jpg")[0] == 404
        assert get(connection, "/img/1.jpg", "HEAD") == (200, "image/jpeg", b"")
        assert connection.sock is first
        assert web.requests == {"/img/1.jpg": 2, "/img/2.png": 1, "/empty.jpg": 1, "/robots.txt": 1, "/none.jpg": 1}
        connection.close()


def test_many_connections_at_once_are_served_and_counted(packed):
    def ask(address):
        connection = http.client.HTTPConnection(*address, timeout=5)
        for _ in range(50):
            assert get(connection, "/img/1.jpg")[0] == 200
        connection.close()

    with EmbeddedWeb(packed) as web:
        began = time.monotonic()
        threads = [threading.Thread(target=ask, args=(web.address,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert web.requests["/img/1.jpg"] == 400
        assert time.monotonic() - began < 4  # 40 ms an answer, Nagle's mark, would take 2 s here even eight at a time


def test_the_port_is_closed_after_the_block(packed):
    with EmbeddedWeb(packed) as web:
        address = web.address
        idle = http.client.HTTPConnection(*address, timeout=5)
        assert get(idle, "/img/1.jpg")[0] == 200
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(*address, timeout=5).connect()


def test_what_is_not_a_packed_web_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"web.parquet is not a packed web \(a Parquet file with path and bytes\)"):
        EmbeddedWeb(tmp_path / "web.parquet")
