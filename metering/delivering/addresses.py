"""Which URLs and addresses a webhook may go to. Nothing is resolved or connected to here.

Everything not known to be on the public internet is refused. Python's own `is_global` changed its mind
between releases, and says yes to addresses that lead elsewhere (6to4, a cloud's own metadata), so the list is
spelled out.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_LENGTH = 2000
DEFAULT_PORTS = {"https": 443, "http": 80}

_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's metadata, in the midst of public addresses
        "169.254.0.0/16",  # link-local; everybody else's metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# All that is given out to networks. Mapped, NAT64, unique local, link-local, multicast lie outside.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
)

_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+", re.ASCII)
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class BadUrl(ValueError):
    """A URL that nothing is sent to. The message says why, for whoever entered it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What is allowed beyond https to public addresses: for development."""

    ports: frozenset[int]
    http: bool = False
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. `address` where the host is an address, not a name."""

    scheme: str
    host: str
    port: int
    path: str
    address: IPAddress | None

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str, *, reach: Reach) -> Target:
    """`url` taken apart. Raises `BadUrl` where nothing may be sent to it, whatever its name resolves to."""
    if len(url) > MAX_URL_LENGTH:
        raise BadUrl(f"At most {MAX_URL_LENGTH} characters.")
    if "#" in url:
        raise BadUrl("A fragment (#…) is never sent; leave it out.")
    if not _URL_CHARACTERS.fullmatch(url):
        raise BadUrl("Isn't a URL: write other characters as %…, and international names in their xn-- form.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("Isn't a URL.") from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or (scheme == "http" and not reach.http):
        raise BadUrl("Must begin with https://.")
    if "@" in parts.netloc:
        raise BadUrl("User names and passwords don't belong into the URL; messages are signed instead.")
    host = (parts.hostname or "").lower().removesuffix(".")
    if not host:
        raise BadUrl("Names no host.")
    address = _address_of(host)
    if address is not None and not is_allowed(address, reach=reach):
        raise BadUrl("Isn't an address on the public internet.")
    port = DEFAULT_PORTS[scheme] if port is None else port
    may_be_here = reach.loopback and (address is None or address.is_loopback)
    if port not in reach.ports and not may_be_here:
        allowed = ", ".join(map(str, sorted(reach.ports)))
        raise BadUrl(f"Port {port} isn't allowed; use one of {allowed}.")
    path = parts.path or "/"
    return Target(scheme, host, port, f"{path}?{parts.query}" if parts.query else path, address)


def _address_of(host: str) -> IPAddress | None:
    """The address that `host` spells, None for a name. Raises `BadUrl` for what is neither.

    127.1, 0177.0.0.1, 2130706433 and 0x7f000001 are addresses to some and names to others: refused.
    """
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host if "%" not in host else "")
        except ValueError:
            raise BadUrl("Isn't an address.") from None
    last = host.rpartition(".")[2]
    if _NUMERIC_LABEL.fullmatch(last):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise BadUrl("Write an address as four decimal numbers, such as 198.51.100.7.") from None
    if not _NAME.fullmatch(host):
        raise BadUrl("Isn't the name of a host.")
    return None


def is_allowed(address: IPAddress, *, reach: Reach) -> bool:
    """Whether something may be sent there."""
    return is_public(address) or (reach.loopback and address.is_loopback)


def is_public(address: IPAddress) -> bool:
    """Whether an address is on the public internet, as it stands: none is looked for inside another."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None or address not in _PUBLIC_V6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_V6)
