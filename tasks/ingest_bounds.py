"""Turn a crawl's settings into what the fetcher may do, and what a picture may be."""

from collections.abc import Mapping

from tasks.core.crawls import CrawlSettings
from tasks.core.errors import CrawlError
from tasks.core.forgotten import Forgotten
from tasks.methods.addresses import AddressRules
from tasks.methods.decoding import Bounds
from tasks.methods.fetch import Fetcher
from tasks.methods.inspection import Inspection
from tasks.methods.requests import Limits
from tasks.methods.robots import Robots
from tasks.methods.safety import is_hash, load_scorer

SITE_WISHES = frozenset({"robots", "ai_txt", "tdm_file"})  # for these a site's own files are read


def make_fetcher(
    settings: CrawlSettings, connect: Mapping[str, str], limits: Limits, blocked: frozenset[str], http2: bool = False
) -> Fetcher:
    """The fetcher that a crawl's settings ask for; `http2`: for https."""
    honoured = frozenset(settings.opt_outs)
    domains = frozenset(entry for entry in blocked if not is_hash(entry))
    robots = Robots(settings.user_agent.partition("/")[0], honoured) if honoured & SITE_WISHES else None
    return Fetcher(
        limits=limits,
        agent=f"{settings.user_agent} (+{settings.contact})" if settings.contact else settings.user_agent,
        rules=AddressRules(frozenset(host.lower() for host in settings.allow_hosts), connect, settings.proxy or None, domains),
        robots=robots,
        honoured=honoured,
        http2=http2,
    )


def limits_of(settings: CrawlSettings, workers: int) -> Limits:
    """The crawl's bounds for one of `workers` processes: what is open at a time, and what goes per second, is shared out among them."""
    return Limits(
        concurrency=max(1, settings.concurrency // workers),
        per_host_concurrency=max(1, settings.per_host_concurrency // workers),
        domain_rate=settings.domain_rate / workers,
        domain_burst=max(1.0, settings.domain_burst / workers),
        max_pause_s=settings.max_pause_s,
        max_timeouts=settings.max_host_timeouts,
        attempts=settings.attempts,
        backoff_s=settings.backoff_s,
        deadline_s=settings.deadline_s,
        max_redirects=settings.max_redirects,
        max_bytes=settings.max_bytes,
        bandwidth=settings.megabytes_per_s * 1e6 / workers,
        windows=tuple(settings.windows),
        share=workers,
    )


def bounds_of(settings: CrawlSettings) -> Bounds:
    """What a picture may be, and how large its stored form."""
    return Bounds(
        decoders=settings.decoders,
        max_pixels=settings.max_pixels,
        max_side=settings.max_side,
        shortest=settings.bounded_side == "shortest",
        memory_mb=settings.decoder_memory_mb,
    )


def inspection_of(settings: CrawlSettings, blocked: frozenset[str], forgotten: Forgotten) -> Inspection:
    """How the images of a crawl are looked at. Raises CrawlError for a scorer that can't be loaded."""
    try:
        scorer = load_scorer(settings.scorer) if settings.scorer else None
    except ValueError as error:
        raise CrawlError(str(error)) from None
    return Inspection(
        bounds=bounds_of(settings),
        encoding=settings.encoding,
        quality=settings.quality,
        blocked=frozenset(filter(is_hash, blocked)),
        forgotten=forgotten.digests,
        verify_hash=settings.verify_hash,
        scorer=scorer,
    )
