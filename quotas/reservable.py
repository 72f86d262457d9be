"""What can be reserved: the amount, the metric, and the event by which the metric would read it. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from metering.catalogue import Catalogue
from metering.errors import Invalid
from metering.measuring.meaning import Meaning
from metering.models import Project
from metering.texts.numbers import NotANumber, decimal_from, plain

from .models import QuotaHold

HOLD_SOURCE = "meterbook:hold"
MAX_SECONDS = 24 * 3600  # no longer than late usage of a finished period is taken
EVENT_MEMBERS = ("subject_type", "subject_id", "labels", "surface", "occurred_at")
_ADDITIVE = frozenset({"COUNT", "SUM"})
_ONE = Decimal(1)


def amount_from(quantity: Decimal | int | str) -> Decimal:
    if isinstance(quantity, bool) or not isinstance(quantity, Decimal | int | str):
        raise Invalid("The quantity is a decimal number, as text or exact.", field="quantity")
    try:
        amount = decimal_from(str(quantity))
    except NotANumber as error:
        raise Invalid("The quantity can't be read: {why}.", why=error, field="quantity") from None
    if amount <= 0:
        raise Invalid("Must be more than 0; what isn't used is released.", field="quantity")
    return amount


def ensure_sound(
    expires_in: int, on_exceed: str, members: Mapping[str, Any], idempotency_key: str | None
) -> None:
    if isinstance(expires_in, bool) or not isinstance(expires_in, int) or not 1 <= expires_in <= MAX_SECONDS:
        raise Invalid(
            "Must be a whole number of seconds from 1 to {most}.", most=MAX_SECONDS, field="expires_in"
        )
    if on_exceed not in QuotaHold.OnExceed.values:
        raise Invalid(
            "Must be one of {known}.", known=", ".join(QuotaHold.OnExceed.values), field="on_exceed"
        )
    for name in members:
        if name not in EVENT_MEMBERS:
            raise Invalid("A hold has no such member.", field=name[:100])
    if not isinstance(members.get("labels") or {}, Mapping):
        raise Invalid("Must be an object.", field="labels", code="invalid_label")
    if idempotency_key is not None and not 0 < len(idempotency_key) <= 255:
        raise Invalid("Must have 1 to 255 characters.", field="idempotency_key")


def metric_to_reserve(catalogue: Catalogue, project: Project, key: str) -> Meaning:
    meaning = catalogue.metric_for(catalogue.project_by_id(project.pk), key)
    if meaning is None:
        raise Invalid(
            "Project '{key}' has no metric '{metric}'.", key=project.key, metric=key[:100], field="metric"
        )
    if not adds_up(meaning):
        kind = "steps between readings" if meaning.is_stepped else meaning.aggregation.name
        raise Invalid(
            "'{key}' is made of {kind}: only counts and sums of amounts can be reserved.",
            key=meaning.key,
            kind=kind,
            field="metric",
        )
    return meaning


def adds_up(meaning: Meaning) -> bool:
    return meaning.aggregation.name in _ADDITIVE and not meaning.is_stepped


def event_of(meaning: Meaning, members: Mapping[str, Any], amount: Decimal) -> dict[str, Any]:
    """The event by which the metric reads this amount."""
    event = {**members, "source": HOLD_SOURCE}
    if meaning.aggregation.name == "COUNT":
        if amount != _ONE:
            raise Invalid(
                "'{key}' counts events: one hold is for one of them.", key=meaning.key, field="quantity"
            )
    elif meaning.value_property:
        event["labels"] = _with_value(dict(members.get("labels") or {}), meaning.value_property, amount)
    else:
        event["quantity"] = plain(amount)
    return event


def _with_value(labels: dict[str, Any], path: str, amount: Decimal) -> dict[str, Any]:
    """The labels with the amount under a dotted path. Raises `Invalid` where something is there already."""
    inner = labels
    *parents, last = path.split(".")
    for name in parents:
        inner[name] = dict(inner.get(name) or {}) if isinstance(inner.get(name) or {}, dict) else None
        if inner[name] is None:
            raise Invalid("The metric's value can't be put here.", field=f"labels.{path}")
        inner = inner[name]
    if last in inner:
        raise Invalid("The hold's quantity goes here; leave it out.", field=f"labels.{path}")
    inner[last] = plain(amount)
    return labels
