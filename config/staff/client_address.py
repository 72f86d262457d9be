"""The address that a request comes from, which a client can't make up."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

# A household or an office holds a whole network of IPv6 addresses, and may take a new one for each guess.
COUNTED_PREFIX = 64


def client_address(request: HttpRequest) -> str | None:
    """The client's address; of IPv6 the /64 that holds it. None where the server names no peer.

    X-Forwarded-For is read from its right end, as many entries as TRUSTED_PROXIES says: each proxy appends
    whom it was called by, and all that stands left of those was written by the client. A request that passed
    fewer proxies than that, or whose entry is no address, counts under the address that called us.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    claimed = forwarded[-trusted] if 0 < trusted <= len(forwarded) else ""
    return _counted(claimed) or _counted(peer)


def _counted(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    network = ipaddress.IPv6Network((int(address), COUNTED_PREFIX), strict=False)
    return str(network.network_address)
