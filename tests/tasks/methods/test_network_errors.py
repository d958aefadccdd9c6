import errno
import socket
import ssl

import aiohttp
import pytest

from tasks.methods.failures import REASONS, Failure
from tasks.methods.network_errors import NETWORK_ERRORS, failure_of


@pytest.mark.parametrize(
    ("error", "detail", "retryable"),
    [
        (Failure("noai"), "noai", False),
        (TimeoutError(), "timeout", True),
        (aiohttp.ServerTimeoutError(), "timeout", True),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "dns", False),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "dns", True),
        (ssl.SSLError(1, "wrong version"), "tls", False),
        (ssl.SSLCertVerificationError(1, "expired"), "tls", False),
        (aiohttp.InvalidURL("http://"), "invalid_url", False),
        (aiohttp.ClientPayloadError("not enough data"), "truncated", True),
        (aiohttp.ServerDisconnectedError(), "dropped", True),
        (ConnectionResetError(), "dropped", True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "refused", False),
        (OSError(errno.ENETUNREACH, "no network"), "no_route", False),
        (OSError(errno.EHOSTUNREACH, "no host"), "no_route", False),
        (OSError(errno.EIO, "odd"), "dropped", True),
        (ValueError("odd header"), "bad_http", False),
        (aiohttp.ClientError(), "bad_http", False),
    ],
)
def test_what_each_error_means(error: Exception, detail: str, retryable: bool) -> None:
    failure = failure_of(error)
    assert (failure.detail, failure.retryable) == (detail, retryable)
    assert detail in REASONS
    assert isinstance(error, NETWORK_ERRORS)
