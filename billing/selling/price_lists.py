"""The prices of a plan before they are stored: read from JSON, checked one by one and against each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.models import MAX_PRICES, Plan, Price
from billing.money import exact_text
from billing.rating import Price as RatingPrice
from billing.rating import price_from, price_json
from billing.rating.dynamic import Dynamic
from billing.rating.flat import Flat
from billing.rating.members import Members, exact_number
from billing.rating.percentage import Percentage
from metering.defining.definitions import storable_filter
from metering.errors import Invalid, NotFound
from metering.measuring.label_filter import InvalidFilter, filter_from
from metering.measuring.meaning import steps_of
from metering.models import MetricDefinition

NAME_LENGTH = 200
MEMBERS = (
    "name",
    "kind",
    "metric",
    "price",
    "label_match",
    "per_project",
    "split_by",
    "charged",
    "included_quantity",
)
SPLIT_BY_PROJECT = "project"
SPLIT_BY_LABEL = "labels."
MAX_SPLITS = 5  # every combination of their values is a line
SPLIT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class PriceDraft:
    """One price as somebody wants it. A name that is empty becomes the metric's, or "Fixed fee"."""

    price: RatingPrice
    kind: str = Price.Kind.USAGE
    metric: MetricDefinition | None = None
    name: str = ""
    label_match: Mapping[str, Any] = field(default_factory=dict)
    per_project: bool = False
    split_by: Sequence[str] = ()
    charged: str = Price.Charged.ARREARS

    @property
    def shown_name(self) -> str:
        if self.name.strip():
            return self.name.strip()
        return self.metric.display_name or self.metric.key if self.metric else "Fixed fee"

    def columns(self) -> dict[str, Any]:
        """What the row says, but for its plan and position."""
        return {
            "name": self.shown_name,
            "kind": self.kind,
            "metric": self.metric,
            "price": price_json(self.price),
            "label_match": storable_filter(self.label_match),
            "per_project": self.per_project,
            "split_by": list(self.split_by),
            "charged": self.charged,
        }


def draft_of(price: Price) -> PriceDraft:
    """A stored price as a draft of another."""
    return PriceDraft(
        price=price.parsed,
        kind=price.kind,
        metric=price.metric,
        name=price.name,
        label_match=price.label_match,
        per_project=price.per_project,
        split_by=tuple(price.split_by),
        charged=price.charged,
    )


def drafts_from(
    value: Any, *, metric_named: Callable[[str], MetricDefinition], at: str = "prices"
) -> list[PriceDraft]:
    """The prices that JSON spells; `metric_named` finds a metric by key or raises `NotFound`.

    Raises `Invalid` whose field is the path of the member at fault, such as `prices[1].price.tiers[0].up_to`.
    """
    if not isinstance(value, list):
        raise Invalid("Must be an array of prices.", field=at)
    if len(value) > MAX_PRICES:
        raise Invalid("At most {most} prices.", most=MAX_PRICES, field=at)
    return [
        draft_from(entry, metric_named=metric_named, at=f"{at}[{index}]") for index, entry in enumerate(value)
    ]


def draft_from(value: Any, *, metric_named: Callable[[str], MetricDefinition], at: str) -> PriceDraft:
    """One price that JSON spells. Its kind may be left out: with a metric it is of usage."""
    members = Members(value, at=at, known=MEMBERS)
    price = _with_included(price_from(members.needed("price"), at=members.path("price")), members)
    kind = members.choice_or_none("kind", Price.Kind.values) or (
        Price.Kind.USAGE if members.has("metric") else Price.Kind.FIXED
    )
    metric = None
    if members.has("metric"):
        key = members.value("metric")
        if not isinstance(key, str):
            raise Invalid("Must be the key of a metric.", field=members.path("metric"))
        try:
            metric = metric_named(key)
        except NotFound as error:
            raise Invalid(error.template, field=members.path("metric"), **error.values) from None
    name = members.value("name")
    if name is not None and not isinstance(name, str):
        raise Invalid("Must be a text.", field=members.path("name"))
    match = members.value("label_match")
    if match is not None and not isinstance(match, Mapping):
        raise Invalid("Must be a JSON object of labels.", field=members.path("label_match"))
    return PriceDraft(
        price=price,
        kind=kind,
        metric=metric,
        name=name or "",
        label_match={} if match is None else match,
        per_project=members.flag("per_project"),
        split_by=_split_by(members),
        charged=members.choice_or_none("charged", Price.Charged.values) or Price.Charged.ARREARS,
    )


def _split_by(members: Members) -> tuple[str, ...]:
    value = members.value("split_by")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Invalid("Must be an array of texts.", field=members.path("split_by"))
    for index, name in enumerate(value):
        if not isinstance(name, str):
            raise Invalid("Must be a text.", field=f"{members.path('split_by')}[{index}]")
    return tuple(value)


def included_quantity(price: RatingPrice) -> str:
    """How many units of the period are free, as a decimal text."""
    return exact_text(price.usage_discount)


def _with_included(price: RatingPrice, members: Members) -> RatingPrice:
    """The price with the member `included_quantity`, which is another name of its `usage_discount`."""
    if not members.has("included_quantity"):
        return price
    included = Fraction(exact_number(members.value("included_quantity"), members.path("included_quantity")))
    if included < 0:
        raise Invalid("Must not be negative.", field=members.path("included_quantity"))
    if price.usage_discount and price.usage_discount != included:
        raise Invalid(
            "The price has another usage_discount, which means the same.",
            field=members.path("included_quantity"),
        )
    return replace(price, usage_discount=included)


def ensure_sound(drafts: Sequence[PriceDraft], *, plan: Plan, at: str = "prices") -> None:
    """Each rule of a price list. Raises `Invalid` whose field is the path of the member at fault.

    A metric must be one that every subscriber's project sees, so a global plan takes global metrics only.
    """
    if len(drafts) > MAX_PRICES:
        raise Invalid("At most {most} prices.", most=MAX_PRICES, field=at)
    seen: dict[tuple[int, str], int] = {}
    for index, draft in enumerate(drafts):
        place = f"{at}[{index}]"
        if len(draft.shown_name) > NAME_LENGTH:
            raise Invalid("At most {most} characters.", most=NAME_LENGTH, field=f"{place}.name")
        if "\x00" in draft.name:
            raise Invalid("Holds a NUL character.", field=f"{place}.name")
        if draft.kind == Price.Kind.FIXED:
            _ensure_fee(draft, place)
            continue
        _ensure_usage_price(draft, plan=plan, place=place)
        assert draft.metric is not None
        key = (draft.metric.pk, _match_text(draft.label_match))
        if key in seen:
            at, earlier = f"{place}.label_match", seen[key] + 1
            if draft.label_match:
                raise Invalid(
                    "Price {number} takes the same usage of '{metric}' already.",
                    number=earlier,
                    metric=draft.metric.key,
                    field=at,
                )
            raise Invalid(
                "Price {number} takes the rest of '{metric}' already; say by"
                " label_match what this one is for.",
                number=earlier,
                metric=draft.metric.key,
                field=at,
            )
        seen[key] = index


def _ensure_fee(draft: PriceDraft, place: str) -> None:
    if draft.metric is not None:
        raise Invalid("A fixed fee has no metric.", field=f"{place}.metric")
    if not isinstance(draft.price.model, Flat):
        raise Invalid("A fixed fee has the model flat.", field=f"{place}.price.model")
    if draft.label_match:
        raise Invalid("A fixed fee matches no labels.", field=f"{place}.label_match")
    if draft.per_project:
        raise Invalid("A fixed fee is of the whole account.", field=f"{place}.per_project")
    if draft.split_by:
        raise Invalid("A fixed fee is one line; there is no usage to split it by.", field=f"{place}.split_by")
    price = draft.price
    for name, is_set in (
        ("min_amount", price.min_amount is not None),
        ("max_amount", price.max_amount is not None),
        ("usage_discount", price.usage_discount != 0),
        ("unit_conversion", price.unit_conversion is not None),
    ):
        if is_set:
            raise Invalid("Means nothing on a fixed fee.", field=f"{place}.price.{name}")


def _ensure_usage_price(draft: PriceDraft, *, plan: Plan, place: str) -> None:
    metric = draft.metric
    if metric is None:
        raise Invalid("Name the metric whose usage is priced.", field=f"{place}.metric", code="missing_field")
    if isinstance(draft.price.model, Flat):
        raise Invalid(
            "A price of usage depends on usage; a flat amount is a fixed fee: leave the metric out.",
            field=f"{place}.price.model",
        )
    if draft.charged != Price.Charged.ARREARS:
        raise Invalid("Usage is charged in arrears: before, nobody knows it.", field=f"{place}.charged")
    if metric.project is not None and (
        plan.project is None or not plan.project.path.startswith(metric.project.path)
    ):
        raise Invalid(
            "'{key}' is a metric of the project '{project}', which not every subscriber "
            "of the plan sees; make the plan that project's.",
            key=metric.key,
            project=metric.project.key,
            field=f"{place}.metric",
        )
    if metric.is_archived:
        raise Invalid(
            "Metric '{key}' is archived and counts no more.", key=metric.key, field=f"{place}.metric"
        )
    if isinstance(draft.price.model, Dynamic | Percentage) and (
        metric.aggregation != MetricDefinition.Aggregation.SUM or steps_of(metric) is not None
    ):
        raise Invalid(
            "This model prices amounts of money that a metric adds up; '{key}' is no such sum.",
            key=metric.key,
            field=f"{place}.price.model",
        )
    try:
        filter_from(draft.label_match)
        storable_filter(draft.label_match)
    except InvalidFilter as error:
        raise Invalid(error.template, field=f"{place}.label_match", **error.values) from None
    _ensure_splits(draft.split_by, f"{place}.split_by")


def _ensure_splits(names: Sequence[str], place: str) -> None:
    """What lines are split by: `project`, `labels.<name>`."""
    if len(names) > MAX_SPLITS:
        raise Invalid("At most {most}.", most=MAX_SPLITS, field=place)
    for index, name in enumerate(names):
        at = f"{place}[{index}]"
        label = name.removeprefix(SPLIT_BY_LABEL)
        if name != SPLIT_BY_PROJECT and (label == name or not label.strip()):
            raise Invalid("Must be project, or a label such as labels.region.", field=at)
        if len(name) > SPLIT_LENGTH:
            raise Invalid("At most {most} characters.", most=SPLIT_LENGTH, field=at)
        if "\x00" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise Invalid("No label can have this name.", field=at)
        if name in names[:index]:
            raise Invalid("Is named twice.", field=at)


def _match_text(match: Any) -> str:
    """The same for equal matches, whatever the order of their members."""
    if isinstance(match, Mapping):
        inner = ",".join(f"{name!r}:{_match_text(match[name])}" for name in sorted(match))
        return "{" + inner + "}"
    if isinstance(match, list):
        return "[" + ",".join(_match_text(each) for each in match) + "]"
    if isinstance(match, int | float | Decimal) and not isinstance(match, bool):
        return str(Decimal(str(match)).normalize())
    return repr(match)
