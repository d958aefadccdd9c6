"""Group hosts: the registrable domain of each, by the public suffix list that comes with the library; nothing is fetched."""

import logging
from functools import cache, lru_cache
from ipaddress import ip_address

import tldextract


@lru_cache(maxsize=100_000)
def registrable_domain(host: str) -> str:
    """`a.b.example.co.uk` gives `example.co.uk`; an address stands for itself, a name under no known suffix for its last two parts."""
    name = host.rstrip(".").lower()
    try:
        return str(ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    found = _extractor()(name)
    if found.suffix:
        return f"{found.domain}.{found.suffix}" if found.domain else name
    return ".".join(name.split(".")[-2:])


@cache
def _extractor() -> tldextract.TLDExtract:
    logging.getLogger("tldextract").setLevel(logging.ERROR)
    return tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
