"""Numbers about limits for monitoring."""

from collections.abc import Iterator

from metering.telemetry import Reading

from .models import Alert


def readings() -> Iterator[Reading]:
    """Alerts that nobody has answered."""
    count = Alert.objects.filter(acknowledged_at=None).count()
    yield Reading("open_alerts", "Alerts that nobody has answered.", count)
