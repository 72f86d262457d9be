"""`/pricing/preview/`: what a price would bill for a quantity, or for some events."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.money import SCALES, amount_text, exact_text, rounded
from billing.rating import (
    NOTHING_YET,
    Kind,
    Part,
    Price,
    Rating,
    bill,
    price_from,
    prices_events,
    rated,
    rated_events,
)
from billing.rating.flat import Flat
from billing.rating.members import exact_number
from metering.api.documents import ProblemDocument
from metering.api.parsing import members_of
from metering.errors import Invalid
from metering.texts.numbers import EXACT

from .documents import PREVIEW_EXAMPLES, PricingPreviewDocument, PricingPreviewRequestDocument

MAX_EVENTS = 10_000  # as many as a request may record

_MEMBERS = ("price", "quantity", "events", "currency", "prior_quantity")


class PricingPreviewView(APIView):
    permissions = {"POST": "read"}
    staff_rights = {"POST": "billing.view_plan"}

    @extend_schema(
        operation_id="pricing_preview",
        summary="What a price bills",
        description=(
            "Arithmetic alone: nothing is stored, and no usage is read. The quantity is taken to complete "
            "its period, so that a minimum's true-up is among the lines. With `prior_quantity`, the answer "
            "is of the slice that comes after it: round(everything so far) less what was billed, and the "
            "lines say what changed, which for a volume price may be negative. "
            f"At most {MAX_EVENTS:,} events. `errors` names the member at fault by its path, such as "
            "`price.tiers[1].up_to`."
        ),
        request=PricingPreviewRequestDocument,
        examples=PREVIEW_EXAMPLES,
        responses={200: PricingPreviewDocument, 413: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        members = members_of(request.data, known=_MEMBERS)
        for name in ("price", "currency"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        price, currency = price_from(members["price"]), _currency(members["currency"])
        earlier, rating = _ratings(price, members)
        billed = rounded(earlier.amount, currency)
        billing = bill(price, rating, currency=currency, billed=billed)
        parts = rating.since(earlier)
        if billing.true_up:
            parts = (*parts, Part(Kind.TRUE_UP, Fraction(billing.true_up)))
        return Response(
            {
                "amount": amount_text(billing.amount, currency),
                "lines": [_line(part, SCALES[currency]) for part in parts],
            }
        )


def _currency(value: Any) -> str:
    code = value.upper() if isinstance(value, str) else ""
    if code not in SCALES:
        raise Invalid("Must be a currency code of ISO 4217, such as USD.", field="currency")
    return code


def _ratings(price: Price, members: Mapping[str, Any]) -> tuple[Rating, Rating]:
    """Of what was billed before, and of everything so far. Raises `Invalid` for usage of the wrong kind."""
    unwanted = ("quantity", "prior_quantity") if prices_events(price) else ("events",)
    for name in unwanted:
        if members.get(name) is not None:
            kind = "each event: send events" if prices_events(price) else "the quantity of the period"
            raise Invalid(f"The model {price.model_name} prices {kind}.", field=name)
    if prices_events(price):
        return NOTHING_YET, rated_events(price, _events(members.get("events")))
    if members.get("quantity") is None and not isinstance(price.model, Flat):
        raise Invalid("This member is needed.", field="quantity", code="missing_field")
    prior, quantity = _number(members, "prior_quantity"), _number(members, "quantity")
    if prior < 0:
        raise Invalid("Must not be negative.", field="prior_quantity")
    earlier = rated(price, prior) if prior else NOTHING_YET
    return earlier, rated(price, EXACT.add(prior, quantity))


def _number(members: Mapping[str, Any], name: str) -> Decimal:
    value = members.get(name)
    return Decimal(0) if value is None else exact_number(value, name)


def _events(value: Any) -> list[Decimal]:
    if value is None:
        raise Invalid("This member is needed.", field="events", code="missing_field")
    if not isinstance(value, list):
        raise Invalid("Must be an array of amounts.", field="events")
    if len(value) > MAX_EVENTS:
        raise Invalid(f"At most {MAX_EVENTS:,} events.", field="events", code="batch_too_large")
    return [exact_number(amount, f"events[{index}]") for index, amount in enumerate(value)]


def _line(part: Part, scale: int) -> dict[str, Any]:
    return {
        "kind": part.kind.value,
        "tier": part.tier,
        "quantity": None if part.quantity is None else exact_text(part.quantity),
        "unit_amount": None if part.unit_amount is None else exact_text(part.unit_amount, decimals=scale),
        "flat_amount": exact_text(part.flat_amount, decimals=scale),
        "amount": exact_text(part.amount, decimals=scale),
    }
