"""`/metrics`: what a Prometheus server asks for. Read from the database: any web process answers the same."""

import hmac
import ipaddress
from collections.abc import Callable, Iterable, Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from metering.telemetry import Reading

PREFIX = "meterbook_"


class AppsCollector(Collector):
    """The readings of all apps as gauges."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for reading in _readings():
            family = families.get(reading.name)
            if family is None:
                family = GaugeMetricFamily(
                    PREFIX + reading.name, reading.meaning, labels=list(reading.labels)
                )
                families[reading.name] = family
            family.add_metric(list(reading.labels.values()), reading.value)
        yield from families.values()


def _readings() -> Iterator[Reading]:
    for name in settings.TELEMETRY:
        source: Callable[[], Iterable[Reading]] = import_string(name)
        yield from source()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All readings in Prometheus' text format. 403 without the token, or from elsewhere where none is set."""
    if not _may_ask(request):
        words = "Send METRICS_TOKEN as a bearer token, or ask from this machine without a proxy.\n"
        return HttpResponse(words, status=403, content_type="text/plain; charset=utf-8")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AppsCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_ask(request: HttpRequest) -> bool:
    """With a token set, whoever sends it. Without, this machine alone: a proxy on it speaks for others."""
    if settings.METRICS_TOKEN:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(sent.encode(), settings.METRICS_TOKEN.encode())
        return scheme.lower() == "bearer" and is_right
    is_proxied = any(name in request.headers for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"))
    try:
        return not is_proxied and ipaddress.ip_address(request.META["REMOTE_ADDR"]).is_loopback
    except ValueError:  # a socket in the file system has no address
        return False
