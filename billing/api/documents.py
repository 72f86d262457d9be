"""The shapes of requests and answers, for the OpenAPI schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from billing.money import SCALES
from billing.rating import Kind
from billing.rating.tiers import MAX_TIERS

_TIERS = f"Ascending, the last one open; at most {MAX_TIERS}."


def _amount(help_text: str = "", **options: Any) -> serializers.CharField:
    return serializers.CharField(help_text=help_text or "Decimal string in major units.", **options)


class UnitConversionDocument(serializers.Serializer):
    """From the metric's unit to the one that is priced."""

    divide_by = _amount("Greater than 0; 3600 makes hours of seconds.")
    round = serializers.ChoiceField(choices=["up", "down"], required=False)


class TierDocument(serializers.Serializer):
    up_to = serializers.CharField(
        required=False, allow_null=True, help_text="Inclusive; null or absent on the last tier alone."
    )
    unit_amount = _amount("Of each unit; 0 where absent.", required=False)
    flat_amount = _amount("Once, for reaching the tier; 0 where absent.", required=False)


class PercentTierDocument(serializers.Serializer):
    up_to = serializers.CharField(
        required=False, allow_null=True, help_text="Inclusive; null or absent on the last tier alone."
    )
    rate_percent = _amount("Of the amount within the tier; 0 where absent.", required=False)
    flat_amount = _amount("Once, for reaching the tier; 0 where absent.", required=False)


class PriceOptions(serializers.Serializer):
    """What every model takes; in the order applied: conversion, usage discount, percent, minimum, maximum."""

    unit_conversion = UnitConversionDocument(required=False)
    usage_discount = serializers.CharField(required=False, help_text="Free units of the period.")
    discount_percent = serializers.CharField(required=False, help_text="0 to 100, of the amount.")
    min_amount = _amount("Of the whole period; billed as a true-up.", required=False)
    max_amount = _amount("Of the whole period.", required=False)
    charge_flat_on_zero = serializers.BooleanField(
        required=False, default=False, help_text="Whether the first tier's flat is due without usage."
    )


class FlatPrice(PriceOptions):
    """A fixed fee of the period."""

    model = serializers.ChoiceField(choices=["flat"])
    amount = _amount()


class PerUnitPrice(PriceOptions):
    """Quantity x unit amount."""

    model = serializers.ChoiceField(choices=["per_unit"])
    unit_amount = _amount("12 decimals are kept.")


class GraduatedPrice(PriceOptions):
    """Each unit pays the rate of its own tier."""

    model = serializers.ChoiceField(choices=["graduated"])
    tiers = TierDocument(many=True, help_text=_TIERS)


class VolumePrice(PriceOptions):
    """The tier that holds the whole quantity prices all of it."""

    model = serializers.ChoiceField(choices=["volume"])
    tiers = TierDocument(many=True, help_text=_TIERS)


class PackagePrice(PriceOptions):
    """Units are sold in packages."""

    model = serializers.ChoiceField(choices=["package"])
    package_size = serializers.CharField(help_text="Units in a package, greater than 0.")
    package_amount = _amount("Of one package.")
    free_units = serializers.CharField(required=False)
    round = serializers.ChoiceField(choices=["up", "down"], required=False, help_text="Default: up.")


class PercentagePrice(PriceOptions):
    """A share of each event's amount. Takes `events`, not a quantity."""

    model = serializers.ChoiceField(choices=["percentage"])
    rate_percent = serializers.CharField()
    fixed_amount_per_event = _amount(required=False)
    free_events = serializers.CharField(required=False, help_text="The first so many events of the period.")
    free_amount = _amount("The first so much; the first allowance exhausted ends both.", required=False)
    per_event_min = _amount(required=False)
    per_event_max = _amount(required=False)


class GraduatedPercentagePrice(PriceOptions):
    """The graduated walk over an amount of money."""

    model = serializers.ChoiceField(choices=["graduated_percentage"])
    tiers = PercentTierDocument(many=True, help_text=_TIERS)


class DynamicPrice(PriceOptions):
    """A cost in the invoice's currency, times a multiplier."""

    model = serializers.ChoiceField(choices=["dynamic"])
    multiplier = serializers.CharField()


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="Price",
        serializers={
            "flat": FlatPrice,
            "per_unit": PerUnitPrice,
            "graduated": GraduatedPrice,
            "volume": VolumePrice,
            "package": PackagePrice,
            "percentage": PercentagePrice,
            "graduated_percentage": GraduatedPercentagePrice,
            "dynamic": DynamicPrice,
        },
        resource_type_field_name="model",
    )
)
class PriceField(serializers.DictField):
    """One of the models."""


class PricingPreviewRequestDocument(serializers.Serializer):
    price = PriceField()
    currency = serializers.ChoiceField(choices=sorted(SCALES), help_text="ISO 4217.")
    quantity = serializers.CharField(
        required=False, help_text="Decimal string. A fixed fee and prices per event do without."
    )
    events = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="For models that price each event: the amounts, in order of time.",
    )
    prior_quantity = serializers.CharField(
        required=False,
        help_text="What earlier slices of the period billed already; 0 where there are none.",
    )


class PricingLineDocument(serializers.Serializer):
    """`quantity` x `unit_amount` + `flat_amount` = `amount`, exact, with at least the currency's decimals."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    tier = serializers.IntegerField(allow_null=True, help_text="From 1; null where there are no tiers.")
    quantity = serializers.CharField(
        allow_null=True, help_text="Priced units, packages, or amount. Null where none explains the line."
    )
    unit_amount = serializers.CharField(allow_null=True)
    flat_amount = serializers.CharField()
    amount = serializers.CharField()


class PricingPreviewDocument(serializers.Serializer):
    amount = serializers.CharField(
        help_text="Rounded at the currency's scale, half away from zero, the true-up included."
    )
    lines = PricingLineDocument(many=True)


PREVIEW_EXAMPLES = [
    OpenApiExample(
        "Graduated",
        value={
            "price": {
                "model": "graduated",
                "tiers": [
                    {"up_to": "5", "unit_amount": "5", "flat_amount": "10"},
                    {"up_to": None, "unit_amount": "4", "flat_amount": "2.5"},
                ],
            },
            "quantity": "6",
            "currency": "USD",
        },
        request_only=True,
    ),
    OpenApiExample(
        "Graduated",
        value={
            "amount": "41.50",
            "lines": [
                {
                    "kind": "usage",
                    "tier": 1,
                    "quantity": "5",
                    "unit_amount": "5.00",
                    "flat_amount": "10.00",
                    "amount": "35.00",
                },
                {
                    "kind": "usage",
                    "tier": 2,
                    "quantity": "1",
                    "unit_amount": "4.00",
                    "flat_amount": "2.50",
                    "amount": "6.50",
                },
            ],
        },
        response_only=True,
    ),
]
