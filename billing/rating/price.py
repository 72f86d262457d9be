"""A price: one model and its options, as read from JSON and as written back. Pure."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from typing import Any

from billing.money import exact_text
from metering.errors import Invalid

from .conversion import UnitConversion
from .dynamic import Dynamic
from .flat import Flat
from .graduated import Graduated
from .graduated_percentage import GraduatedPercentage
from .members import Members
from .package import Package
from .parts import ZERO
from .per_unit import PerUnit
from .percentage import Percentage
from .volume import Volume

QuantityModel = Flat | PerUnit | Graduated | Volume | Package | GraduatedPercentage | Dynamic
Model = QuantityModel | Percentage

MODELS: dict[str, type[Model]] = {
    "flat": Flat,
    "per_unit": PerUnit,
    "graduated": Graduated,
    "volume": Volume,
    "package": Package,
    "percentage": Percentage,
    "graduated_percentage": GraduatedPercentage,
    "dynamic": Dynamic,
}
_NAMES = {model: name for name, model in MODELS.items()}


@dataclass(frozen=True, slots=True)
class Price:
    """What usage costs. Amounts are in major units of the plan's currency, which the price doesn't know."""

    model: Model
    min_amount: Fraction | None = None
    max_amount: Fraction | None = None
    usage_discount: Fraction = ZERO
    unit_conversion: UnitConversion | None = None
    discount_percent: Fraction = ZERO
    charge_flat_on_zero: bool = False

    @property
    def model_name(self) -> str:
        return _NAMES[type(self.model)]


_OPTIONS = tuple(field.name for field in fields(Price) if field.name != "model")


def price_from(value: Any, *, at: str = "price") -> Price:
    """The price that JSON spells. Null is absence; unknown members are refused.

    Raises `Invalid` whose field is the path of the member at fault, such as `price.tiers[1].up_to`.
    """
    if not isinstance(value, Mapping):
        raise Invalid("Must be a JSON object.", field=at)
    model = MODELS[_model_name(value, at)]
    names = [field.name for field in fields(model)]
    members = Members(value, at=at, known=("model", *names, *_OPTIONS))
    price = Price(
        model=model.read(members),
        min_amount=members.number_or_none("min_amount"),
        max_amount=members.number_or_none("max_amount"),
        usage_discount=members.number_or_zero("usage_discount"),
        unit_conversion=_conversion(members),
        discount_percent=members.number_or_zero("discount_percent"),
        charge_flat_on_zero=members.flag("charge_flat_on_zero"),
    )
    if price.discount_percent > 100:
        raise Invalid("Must not be above 100.", field=members.path("discount_percent"))
    low, high = price.min_amount, price.max_amount
    if low is not None and high is not None and low > high:
        raise Invalid("Must not be above max_amount.", field=members.path("min_amount"))
    if isinstance(price.model, Percentage) and price.unit_conversion and price.unit_conversion.round:
        raise Invalid(
            "Events are priced one by one; their amounts can be converted, but not rounded.",
            field=f"{members.path('unit_conversion')}.round",
        )
    return price


def _model_name(value: Mapping[str, Any], at: str) -> str:
    model = Members({"model": value.get("model")}, at=at, known=("model",))
    model.needed("model")
    return model.choice_or_none("model", MODELS) or ""


def _conversion(members: Members) -> UnitConversion | None:
    if not members.has("unit_conversion"):
        return None
    names = [field.name for field in fields(UnitConversion)]
    value, at = members.needed("unit_conversion"), members.path("unit_conversion")
    return UnitConversion.read(Members(value, at=at, known=names))


def price_json(price: Price) -> dict[str, Any]:
    """The price in its one canonical spelling: decimal strings, defaults left out.

    Law: price_from(price_json(price)) == price, for every price that was read.
    """
    options = _members(price)
    return {"model": price.model_name, **_members(price.model), **options}


def _members(value: Any) -> dict[str, Any]:
    return {
        field.name: _spelled(getattr(value, field.name))
        for field in fields(value)
        if field.name != "model" and (field.default is MISSING or getattr(value, field.name) != field.default)
    }


def _spelled(value: Any) -> Any:
    if isinstance(value, Fraction):
        return exact_text(value)
    if isinstance(value, tuple):
        return [_members(each) for each in value]
    return _members(value) if isinstance(value, UnitConversion) else value
