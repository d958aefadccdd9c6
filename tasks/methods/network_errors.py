"""Read network errors: the failure that an exception of the HTTP client, or of what it stands on, means."""

import errno
import socket
import ssl

import aiohttp

from tasks.methods.failures import Failure

# Raised for reasons that lie with the other side.
NETWORK_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


def failure_of(error: BaseException) -> Failure:
    """What one of NETWORK_ERRORS means; a Failure is returned as it is."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, TimeoutError):
        return Failure("timeout")
    if isinstance(error, socket.gaierror):
        return Failure("dns", retryable=error.errno == socket.EAI_AGAIN)
    if isinstance(error, (ssl.SSLError, ssl.CertificateError, aiohttp.ClientSSLError)):
        return Failure("tls")
    if isinstance(error, aiohttp.ClientConnectorError):
        return failure_of(error.os_error)
    if isinstance(error, aiohttp.InvalidURL):
        return Failure("invalid_url")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure("truncated")
    if isinstance(error, (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return Failure("dropped")
    if isinstance(error, OSError):
        return Failure(_detail_of_errno(error.errno))
    return Failure("bad_http")


def _detail_of_errno(number: int | None) -> str:
    if number == errno.ECONNREFUSED:
        return "refused"
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM):
        return "no_route"
    return "timeout" if number == errno.ETIMEDOUT else "dropped"
