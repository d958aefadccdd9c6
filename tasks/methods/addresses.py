"""Guard addresses: which URL may be asked for, and which address a name may lead to.

A name is resolved here, every address is checked, and the connection goes to that very address: what a name resolves to a second time
is never used. The same check stands once more at the socket, so that no path around the resolver leads to a private network.
"""

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tasks.methods.failures import Failure
from tasks.methods.safety import in_domains

PORTS = {"http": 80, "https": 443}
NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
COMPATIBLE = IPv6Network("::/96")
TEREDO = IPv6Network("2001::/32")
SITE_LOCAL = IPv6Network("fec0::/10")
# Never a web site, although not every Python's `ipaddress` says so: shared carrier space, protocol assignments, the 6to4 relays, one
# cloud's host agent.
NEVER_PUBLIC = tuple(map(IPv4Network, ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
DNS_THREADS = 64
NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


@dataclass(frozen=True)
class AddressRules:
    """Exceptions that a crawl opens. `allow_hosts`: names (or addresses) that may lie in a private network and use any
    port. `connect`: name -> "address:port", where to connect for exactly that name, as `curl --resolve`. `proxy`: the URL of a proxy,
    which may lie in a private network and resolves names by itself. `blocked`: domains that are never asked, nor any name under them.
    Raises ValueError for a value that is no address:port, or no URL.
    """

    allow_hosts: frozenset[str] = frozenset()
    connect: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None
    blocked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for host in self.connect:
            self.target(host)
        if self.proxy is not None and (URL(self.proxy).scheme not in PORTS or not self.proxy_host):
            raise ValueError(f"proxy: '{self.proxy}' is no URL such as http://10.0.0.1:3128")

    @property
    def proxy_host(self) -> str | None:
        return URL(self.proxy).host if self.proxy is not None else None

    def exempt(self, host: str) -> bool:
        return host in self.allow_hosts or host in self.connect

    def target(self, host: str) -> tuple[str, int] | None:
        """Address and port that `connect` gives for a name."""
        if host not in self.connect:
            return None
        address, _, port = self.connect[host].rpartition(":")
        try:
            return str(ip_address(address.strip("[]"))), int(port)
        except ValueError:
            given = self.connect[host]
            raise ValueError(f"connect: '{host}' leads to '{given}', which is no address:port such as 127.0.0.1:8080") from None


def check_url(url: str, rules: AddressRules) -> URL:
    """The URL, parsed once for all uses. Raises Failure: invalid_url, blocked_scheme, blocked_domain, blocked_port or blocked_address."""
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.explicit_port
    except ValueError:
        raise Failure("invalid_url") from None
    if parsed.scheme and parsed.scheme not in PORTS:
        raise Failure("blocked_scheme")
    if not parsed.scheme or not host:
        raise Failure("invalid_url")
    if in_domains(host, rules.blocked):
        raise Failure("blocked_domain")
    if rules.exempt(host):
        return parsed
    if port is not None and port not in PORTS.values():
        raise Failure("blocked_port")
    literal = _literal(host)
    if literal is not None and not is_public(literal):
        raise Failure("blocked_address")
    return parsed


def is_public(address: str) -> bool:
    """Whether an address lies in the public internet; an IPv4 address inside an IPv6 one is looked at instead of it."""
    ip = ip_address(address)
    inner = _embedded(ip) if isinstance(ip, IPv6Address) else ip
    if inner is None:
        return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip in TEREDO or ip in SITE_LOCAL)
    if any(inner in network for network in NEVER_PUBLIC):
        return False
    return inner.is_global and not (inner.is_multicast or inner.is_reserved)


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in COMPATIBLE or any(ip in network for network in NAT64):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def _literal(host: str) -> str | None:
    """The address that a host is, None for a name. Raises Failure for the old forms (`127.1`, `0x7f000001`): readers differ on them."""
    try:
        return str(ip_address(host))
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        if last.isdigit() or last.lower().startswith("0x"):
            raise Failure("invalid_url") from None
        return None


class CheckedResolver(AbstractResolver):
    """A resolver that answers with addresses that may be connected to, and with no other."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self._approved = {host for host in (*rules.allow_hosts, rules.proxy_host) if host and _is_address(host)}
        self._threads = ThreadPoolExecutor(DNS_THREADS, thread_name_prefix="dns")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Checked addresses of a name. Raises Failure: dns or blocked_address."""
        target = self._rules.target(host)
        if target is not None:
            self._approved.add(target[0])
            return [_result(host, *target)]
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        except socket.gaierror as error:
            raise Failure("dns", retryable=error.errno == socket.EAI_AGAIN) from None
        except UnicodeError:
            raise Failure("invalid_url") from None
        exempt = self._rules.exempt(host) or host == self._rules.proxy_host
        allowed = [address for address in found if exempt or is_public(address)]
        if exempt:
            self._approved |= set(allowed)
        if not allowed:
            raise Failure("blocked_address" if found else "dns")
        return [_result(host, address, port) for address in allowed]

    def open_socket(self, info: tuple) -> socket.socket:
        """The last gate, for the connector's `socket_factory`. Raises Failure: blocked_address."""
        family, kind, protocol, _, address = info
        if address[0] not in self._approved and not is_public(address[0]):
            raise Failure("blocked_address")
        return socket.socket(family=family, type=kind, proto=protocol)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[str]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=NUMERIC)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
