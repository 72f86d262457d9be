"""The form that edits one price of a draft, in the words of a price list instead of JSON."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.models import Plan, Price
from billing.rating import price_json
from billing.selling.price_lists import PriceDraft, draft_from, ensure_sound
from metering import numerals
from metering.admin.metric_form import LabelFilterField
from metering.admin.number_fields import NumberTextField, Typed, shown
from metering.admin.refusals import worded
from metering.errors import Invalid, NotFound
from metering.models import MetricDefinition

FEE = "flat"
USAGE_MODELS = (
    ("per_unit", _("Per unit")),
    ("graduated", _("Graduated: each unit pays the rate of its own tier")),
    ("volume", _("Volume: the tier that holds the whole quantity prices all of it")),
    ("package", _("Package: units are sold in packages")),
    ("percentage", _("Percentage of each event's amount")),
    ("graduated_percentage", _("Graduated percentage of an amount")),
    ("dynamic", _("Dynamic: the metric is a cost already")),
)
ROUNDINGS = (
    ("up", _("Up: a package that was begun is paid")),
    ("down", _("Down: only full packages are paid")),
)
CONVERSION_ROUNDINGS = (
    ("", _("Exact")),
    ("up", pgettext_lazy("rounding", "Up")),
    ("down", pgettext_lazy("rounding", "Down")),
)
SPARE_ROWS = 2

# The fields of each model, by their names in the JSON.
FIELDS_OF = {
    "flat": ("amount",),
    "per_unit": ("unit_amount",),
    "graduated": ("tiers",),
    "volume": ("tiers",),
    "package": ("package_size", "package_amount", "free_units", "round"),
    "percentage": (
        "rate_percent",
        "fixed_amount_per_event",
        "free_events",
        "free_amount",
        "per_event_min",
        "per_event_max",
    ),
    "graduated_percentage": ("tiers",),
    "dynamic": ("multiplier",),
}
USAGE_OPTIONS = ("usage_discount", "min_amount", "max_amount", "discount_percent", "charge_flat_on_zero")
FEE_OPTIONS = ("discount_percent",)
_RATE_NAME = {"graduated": "unit_amount", "volume": "unit_amount", "graduated_percentage": "rate_percent"}
_SECTIONS = (
    (_("What it is for"), ("name", "metric", "label_match", "charged", "per_project", "split_by")),
    (
        _("What it costs"),
        ("model", *dict.fromkeys(name for names in FIELDS_OF.values() for name in names)),
    ),
    (
        _("Included, minimum, maximum"),
        (
            "usage_discount",
            "min_amount",
            "max_amount",
            "discount_percent",
            "charge_flat_on_zero",
            "divide_by",
            "conversion_round",
        ),
    ),
)


class TiersWidget(forms.Widget):
    """Rows of “up to”, rate and flat amount; spare ones at the end. An empty “up to” is the open end."""

    columns = (("up_to", _("Up to")), ("rate", _("Rate")), ("flat", _("Flat amount")))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        rows = [*(value or ()), *([("", "", "")] * SPARE_ROWS)]
        body = format_html_join(
            "",
            "<tr>{}</tr>",
            (
                (
                    format_html_join(
                        "",
                        '<td><input inputmode="decimal" name="{}" value="{}" aria-label="{}"></td>',
                        (
                            (f"{name}_{column}", cell, f"{number}. {label}")
                            for (column, label), cell in zip(self.columns, row, strict=True)
                        ),
                    ),
                )
                for number, row in enumerate(rows, start=1)
            ),
        )
        head = format_html_join("", '<th scope="col">{}</th>', ((label,) for _column, label in self.columns))
        return format_html(
            '<table class="mb-tiers" data-tiers><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
            '<button type="button" class="mb-link" data-add-tier hidden>{}</button>',
            head,
            body,
            gettext("Add a tier"),
        )

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[tuple[str, str, str]]:
        lists = [
            data.getlist(f"{name}_{column}") if hasattr(data, "getlist") else []
            for column, _label in self.columns
        ]
        rows = [tuple(cell.strip() for cell in row) for row in zip(*lists, strict=False)]
        return [row for row in rows if any(row)]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}_up_to" not in data


class TiersField(forms.Field):
    """Rows of plain numbers, typed and shown as in every field for numbers."""

    def clean(self, value: Any) -> Any:
        read = []
        for number, row in enumerate(super().clean(value) or (), start=1):
            try:
                read.append(tuple(numerals.plainly_written(cell) for cell in row))
            except ValidationError as error:
                detail = " ".join(error.messages)
                raise ValidationError(
                    gettext("Tier %(row)d: %(detail)s") % {"row": number, "detail": detail}
                ) from None
        return read

    def bound_data(self, data: Any, initial: Any) -> Any:
        return [tuple(Typed(cell) for cell in row) for row in data or ()]

    def prepare_value(self, value: Any) -> Any:
        return [tuple(shown(cell) for cell in row) for row in value or ()]


def _number(label: Any, help_text: Any = "", **options: Any) -> NumberTextField:
    return NumberTextField(label=label, help_text=help_text, required=False, max_length=60, **options)


class PriceForm(forms.Form):
    """One price of `plan`: of usage, or a fee. What the fields say is read as the API reads JSON."""

    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("What the invoice line is called. Empty: the metric's name."),
    )
    metric = forms.ModelChoiceField(
        label=_("Metric"),
        queryset=MetricDefinition.objects.none(),
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Whose usage is priced."),
    )
    label_match = LabelFilterField(
        label=_("Only usage whose labels match"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "class": "font-mono", "spellcheck": "false"}),
        help_text=_(
            'JSON such as {"region": "eu"}. Empty: all usage of the metric that no other price of the plan '
            "takes. The first price that matches takes it."
        ),
    )
    charged = forms.ChoiceField(
        label=_("Charged"),
        choices=Price.Charged.choices,
        initial=Price.Charged.ADVANCE,
        widget=UnfoldAdminSelectWidget(),
    )
    per_project = forms.BooleanField(
        label=_("Each project on its own"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_(
            "On: tiers, included quantity, minimum and maximum apply to each project by itself. Off: to the "
            "whole account."
        ),
    )
    split_by = forms.CharField(
        label=_("Lines by"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "class": "font-mono", "spellcheck": "false"}),
        help_text=_(
            "One per line: project, or a label such as labels.region. The invoice has a line for each of "
            "their values; the amount is worked out of the whole and split by quantity. Empty: one line."
        ),
    )
    model = forms.ChoiceField(label=_("Price model"), choices=USAGE_MODELS, widget=UnfoldAdminSelectWidget())
    amount = _number(_("Amount"), _("Of a full period; partial ones pay by days."))
    unit_amount = _number(_("Amount per unit"), _("Up to 12 decimals are kept and never rounded."))
    tiers = TiersField(
        label=_("Tiers"),
        required=False,
        widget=TiersWidget(),
        help_text=_(
            "“Up to” is included in its tier; leave it empty in the last one. The rate is per unit, or a "
            "percentage. The flat amount is paid once, when the tier is reached. Empty rows don't count."
        ),
    )
    package_size = _number(_("Units in a package"))
    package_amount = _number(_("Amount per package"))
    free_units = _number(_("Free units"))
    round = forms.ChoiceField(
        label=_("Packages are rounded"), choices=ROUNDINGS, required=False, widget=UnfoldAdminSelectWidget()
    )
    rate_percent = _number(_("Rate (%)"))
    fixed_amount_per_event = _number(_("Plus per event"))
    free_events = _number(_("Free events"), _("The first so many of a period."))
    free_amount = _number(_("Free amount"), _("The first so much of a period."))
    per_event_min = _number(_("At least per event"))
    per_event_max = _number(_("At most per event"))
    multiplier = _number(_("Multiplier"), _("1.2 adds 20 % to the cost."))
    usage_discount = _number(_("Included quantity"), _("Units of each period that cost nothing."))
    min_amount = _number(_("At least"), _("Of a full period. What usage lacks becomes a line of its own."))
    max_amount = _number(_("At most"), _("Of a full period."))
    discount_percent = _number(_("Discount (%)"))
    charge_flat_on_zero = forms.BooleanField(
        label=_("First flat amount also without usage"), required=False, widget=UnfoldBooleanSwitchWidget()
    )
    divide_by = _number(
        _("Units to one that is priced"), _("3600 prices hours where the metric has seconds. Empty: 1.")
    )
    conversion_round = forms.ChoiceField(
        label=_("Converted units are rounded"),
        choices=CONVERSION_ROUNDINGS,
        required=False,
        widget=UnfoldAdminSelectWidget(),
    )
    draft: PriceDraft | None = None

    def __init__(self, *args: Any, plan: Plan, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plan, self.kind = plan, kind
        self.fields["metric"].queryset = metrics_for(plan)  # type: ignore[attr-defined]
        self.fields["metric"].label_from_instance = lambda metric: f"{metric.display_name} ({metric.key})"  # type: ignore[attr-defined]
        kept = {"name", "charged", "amount", "discount_percent"}
        for name in list(self.fields):
            if (self.is_fee and name not in kept) or (not self.is_fee and name in {"charged", "amount"}):
                del self.fields[name]
        if self.is_fee:
            self.fields["name"].help_text = _("What the invoice line is called.")

    @property
    def is_fee(self) -> bool:
        return self.kind == Price.Kind.FIXED

    @property
    def sections(self) -> list[tuple[Any, list[tuple[Any, str]]]]:
        """(title, [(field, the models that it is of, by name)]); a field of all models has none."""
        found = []
        for title, names in _SECTIONS:
            fields = [(self[name], " ".join(models_with(name))) for name in names if name in self.fields]
            if fields:
                is_discount_alone = [field.name for field, _models in fields] == ["discount_percent"]
                found.append((_("Discount") if is_discount_alone else title, fields))
        return found

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                self.draft = self._draft(given)
                ensure_sound([self.draft], plan=self.plan)
            except Invalid as refusal:
                field, detail = self._place(refusal)
                self.add_error(field, detail)
        return given

    def _draft(self, given: Mapping[str, Any]) -> PriceDraft:
        metric = given.get("metric")
        entry = {
            "name": given["name"],
            "kind": self.kind,
            "metric": metric.key if metric else None,
            "label_match": given.get("label_match") or None,
            "per_project": given.get("per_project", False),
            "split_by": lines_in(given.get("split_by", "")),
            "charged": given.get("charged"),
            "price": price_entry(given, is_fee=self.is_fee),
        }
        return draft_from(entry, metric_named=lambda key: _found(metric, key), at="prices[0]")

    def _place(self, refusal: Invalid) -> tuple[str | None, str]:
        """The form's field for a path such as `prices[0].price.tiers[1].up_to`, and what to say there."""
        path = (refusal.field or "").removeprefix("prices[0].").removeprefix("price.")
        field = path.split("[")[0].split(".")[0]
        detail = worded(refusal)
        if field == "unit_conversion":
            field = "conversion_round" if path.endswith("round") else "divide_by"
        if field == "split_by" and "[" in path:
            detail = gettext("Line %(row)d: %(detail)s") % {"row": _row(path), "detail": detail}
        if field == "tiers" and "[" in path:
            row = _row(path)
            if refusal.template == "The last tier must be open: up_to is null.":
                detail = gettext("The last tier must be open; leave “Up to” empty.")
            detail = gettext("Tier %(row)d: %(detail)s") % {"row": row, "detail": detail}
        return (field if field in self.fields else None), detail


def _row(path: str) -> int:
    """The number, from 1, of the entry that a path such as `tiers[1].up_to` names."""
    return int(path.split("[")[1].split("]", maxsplit=1)[0]) + 1


def lines_in(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _found(metric: MetricDefinition | None, key: str) -> MetricDefinition:
    if metric is None:
        raise NotFound(gettext("There is no metric “%s”.") % key)
    return metric


def models_with(name: str) -> list[str]:
    """The price models that a field belongs to; none where it belongs to all."""
    models = [model for model, names in FIELDS_OF.items() if name in names]
    if name == "charge_flat_on_zero":
        return ["graduated", "volume", "graduated_percentage"]
    return models


def metrics_for(plan: Plan) -> Any:
    """Metrics that every subscriber of the plan sees and that still count."""
    metrics = MetricDefinition.objects.filter(archived_from=None).select_related("project").order_by("key")
    if plan.project is None:
        return metrics.filter(project=None)
    ancestors = [int(part) for part in plan.project.path.strip("/").split("/")]
    return metrics.filter(project=None) | metrics.filter(project_id__in=ancestors)


def price_entry(given: Mapping[str, Any], *, is_fee: bool) -> dict[str, Any]:
    """The JSON of the price that the fields spell; what belongs to other models is left out."""
    model = FEE if is_fee else given["model"]
    entry: dict[str, Any] = {"model": model}
    for name in (*FIELDS_OF[model], *(FEE_OPTIONS if is_fee else USAGE_OPTIONS)):
        value = given.get(name)
        if name == "tiers":
            entry["tiers"] = [
                {"up_to": up_to or None, _RATE_NAME[model]: rate or None, "flat_amount": flat or None}
                for up_to, rate, flat in value or ()
            ]
        elif name == "charge_flat_on_zero":
            if value and model in models_with(name):
                entry[name] = True
        elif value not in (None, ""):
            entry[name] = value.strip()
    if not is_fee and given.get("divide_by"):
        entry["unit_conversion"] = {
            "divide_by": given["divide_by"].strip(),
            "round": given.get("conversion_round") or None,
        }
    return entry


def initial_of(draft: PriceDraft) -> dict[str, Any]:
    """What the form begins with for a price that there is."""
    entry = price_json(draft.price)
    conversion = entry.pop("unit_conversion", {})
    initial = {
        **entry,
        "name": draft.name,
        "metric": draft.metric,
        "label_match": draft.label_match,
        "charged": draft.charged,
        "per_project": draft.per_project,
        "split_by": "\n".join(draft.split_by),
        "divide_by": conversion.get("divide_by", ""),
        "conversion_round": conversion.get("round", ""),
    }
    if "tiers" in entry:
        rate = _RATE_NAME[entry["model"]]
        initial["tiers"] = [
            (tier.get("up_to") or "", tier.get(rate, ""), _unless_zero(tier.get("flat_amount", "")))
            for tier in entry["tiers"]
        ]
    return initial


def _unless_zero(text: str) -> str:
    return "" if text == "0" else text
