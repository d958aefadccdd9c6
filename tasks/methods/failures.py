"""Name failures: one fine class (`detail`) for every way in which an image can't be had, and the public reason that each stands for."""

# Public reason of each detail; `http_NNN` (any other answer than 200) is unreachable.
REASONS = {
    "dns": "unreachable",  # the name has no address, or nobody could say
    "refused": "unreachable",  # nothing listens there
    "no_route": "unreachable",  # no way to the address
    "tls": "unreachable",  # no trusted connection
    "dropped": "unreachable",  # the connection ended before an answer
    "bad_http": "unreachable",  # the answer is not HTTP
    "bad_encoding": "unreachable",  # a Content-Encoding that wasn't asked for, or is broken
    "redirect_loop": "unreachable",
    "too_many_redirects": "unreachable",
    "empty": "unreachable",  # an answer without a body
    "retry_later": "unreachable",  # the site asked for a longer pause than this crawl waits
    "timeout": "timeout",  # the request's deadline passed
    "shard_timeout": "timeout",  # the shard's deadline passed before this request ended
    "robots": "disallowed",  # robots.txt says no
    "robots_unreachable": "disallowed",  # the site has no say at the moment: RFC 9309 reads that as no
    "noai": "disallowed",  # X-Robots-Tag says no, as in the next four
    "noimageai": "disallowed",
    "noindex": "disallowed",
    "noimageindex": "disallowed",
    "none": "disallowed",
    "ai_txt": "disallowed",  # ai.txt says no
    "tdm": "disallowed",  # text and data mining is reserved, by header or tdmrep.json
    "invalid_url": "blocked",
    "blocked_scheme": "blocked",
    "blocked_port": "blocked",
    "blocked_address": "blocked",
    "blocked_domain": "blocked",  # on a block list, as in the next one
    "blocked_hash": "blocked",
    "changed": "blocked",  # not the bytes whose hash the manifest promised
    "too_large": "too_large",  # more bytes than the budget, before or after decompression
    "too_many_pixels": "too_large",
    "out_of_memory": "too_large",  # its decoder asked for more than it is granted
    "truncated": "broken",  # fewer bytes, or fewer pixels, than announced
    "not_an_image": "broken",  # no picture format that is accepted
    "broken": "broken",  # a picture format, but not decodable
    "forgotten": "forgotten",  # on the list of what must not be fetched or kept again
}
NETWORK_DOWN = frozenset({"dns", "refused", "no_route"})  # what a dead line looks like, rather than a dead page
RETRYABLE = frozenset({"timeout", "dropped", "truncated", "http_429", "http_502", "http_503", "http_504"})


class Failure(ValueError):
    """An image can't be had: `detail` says why, `retryable` whether another try may help."""

    def __init__(self, detail: str, *, http_status: int | None = None, retry_after: float = 0.0, retryable: bool | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.http_status = http_status
        self.retry_after = retry_after
        self.retryable = detail in RETRYABLE if retryable is None else retryable


def reason_of(detail: str) -> str:
    """The public reason of a detail. Raises ValueError for one that nobody emits."""
    if detail.startswith("http_"):
        return "unreachable"
    if detail not in REASONS:
        raise ValueError(f"unknown detail '{detail}' (known: http_NNN, {', '.join(REASONS)})")
    return REASONS[detail]
