"""The form that defines a metric, changes one, clones one or only looks ahead."""

import json
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from metering.defining.cloning import clone_of
from metering.defining.definitions import MEANING_FIELDS, WORDING_FIELDS, draft_of, ensure_key_is_free
from metering.errors import Conflict, Invalid
from metering.measuring.aggregations import AGGREGATIONS
from metering.measuring.label_filter import InvalidFilter, filter_from
from metering.models import MetricDefinition

from .base import VerbForm
from .refusals import worded

FILTER_EXAMPLES = (
    ('{"region": "eu"}', _("one value")),
    ('{"region": ["eu", "us"]}', _("one of several")),
    ('{"size": {"$gte": 10, "$lt": 100}}', _("between two numbers; $gt and $lte as well")),
    ('{"plan": {"$ne": "trial"}, "test": {"$exists": false}}', _("anything else, and without that label")),
    ('{"$or": [{"region": "eu"}, {"plan": "gold"}]}', _("either; $and for all of them")),
)


def filter_help() -> SafeString:
    return format_html(
        '{}<table class="mb-examples"><tbody>{}</tbody></table>',
        gettext("Empty: all events of that name. Otherwise only those whose labels match, as JSON:"),
        format_html_join("", "<tr><td><code>{}</code></td><td>{}</td></tr>", FILTER_EXAMPLES),
    )


HELP = {
    "event_name": _(
        "The events that it listens to; empty: the key. Several metrics may listen to one event name."
    ),
    "reset_period": _(
        "The period that quotas and alerts look at unless they say otherwise. For running totals it is also "
        "when the total begins again at 0, and then it freezes with the meaning."
    ),
    "meter_type": _(
        "Counter: amounts or a meter that only goes up; negative values are refused. Gauge: a level that may "
        "go up and down, such as seats or stored gigabytes."
    ),
    "aggregation": _("How the events of an hour, a day or a billing period become one number."),
    "is_incremental": _(
        "On, the usual case: each event says how much was used, and amounts add up. Off: each event is the "
        "reading of a meter that runs on, like an electricity meter; usage is what it moved since the "
        "reading before, and a lower reading means that the meter began again at 0. For a gauge averaged "
        "over time: on, events say by how much the level changed; off, what it is now."
    ),
    "reporting_method": _(
        "Periodic, the usual case: each event stands alone. Total: each event says how much was used since "
        "the reset period began; usage is what it adds to the total reported before."
    ),
}


class LabelFilterField(forms.JSONField):
    """A label filter as JSON; an error says where it is."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip():
            try:
                json.loads(value)
            except json.JSONDecodeError as error:
                facts = {"line": error.lineno, "column": error.colno, "problem": error.msg}
                raise ValidationError(
                    gettext("This isn't JSON: line %(line)s, column %(column)s: %(problem)s.") % facts
                ) from None
        found = super().to_python(value)
        if found is None:
            return {}
        try:
            filter_from(found)
        except InvalidFilter as error:
            raise ValidationError(worded(error)) from None
        return found

    def prepare_value(self, value: Any) -> Any:
        """Laid out to be read; nothing at all where there is no filter."""
        if value in (None, {}):
            return ""
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


class MetricForm(VerbForm):
    preview_days: ClassVar[int | None] = None  # set where the form is only to be looked ahead from
    original: ClassVar[MetricDefinition | None] = None  # the metric that is cloned
    draft: MetricDefinition | None = None

    event_label_filter = LabelFilterField(
        label=_("Event label filter"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "class": "font-mono", "spellcheck": "false"}),
    )
    counts_history = forms.BooleanField(
        label=_("Count all history too"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_(
            "Off: events recorded from now on count. On: matching events that are in the ledger already "
            "count as well; adding them up may take a while."
        ),
    )
    archives_original = forms.BooleanField(
        label=_("Archive the old metric"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_(
            "On: the old metric stops in the very moment in which the new one begins, so that every event "
            "counts for exactly one of them. Off: both count."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("event_name", "display_name"):
            if name in self.fields:
                self.fields[name].required = False
        for name, text in HELP.items():
            if name in self.fields:
                self.fields[name].help_text = text
        if "event_label_filter" in self.fields:
            self.fields["event_label_filter"].help_text = filter_help()
        if "aggregation" in self.fields:
            self.fields["aggregation"].choices = [  # type: ignore[attr-defined]
                choice for choice in MetricDefinition.Aggregation.choices if choice[0] in AGGREGATIONS
            ]

    @property
    def stored(self) -> MetricDefinition | None:
        """The definition in force that this one would replace."""
        if self.original is not None:
            return self.original
        if self.instance.pk is None:
            return None
        return MetricDefinition.objects.select_related("project").get(pk=self.instance.pk)

    def definition(self) -> dict[str, Any]:
        """The definition's own fields as given; those that are frozen aren't in the form."""
        names = (*MEANING_FIELDS, *WORDING_FIELDS)
        return {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.preview_days is not None and not self.errors:
            try:
                self.draft = self._drafted()
            except (Conflict, Invalid) as error:
                self.add_error(error.field if error.field in self.fields else None, worded(error))
        return cleaned

    def _drafted(self) -> MetricDefinition:
        stored = self.stored
        if stored is not None and self.original is None:
            return clone_of(stored, key=stored.key, **self.definition())
        given = self.cleaned_data
        if self.original is not None:
            draft = clone_of(self.original, key=given["key"], **self.definition())
        else:
            draft = draft_of(key=given["key"], project=given["project"], **self.definition())
        ensure_key_is_free(draft)
        return draft

    def is_valid(self) -> bool:
        """A form that is only looked ahead from is never saved, however right it is."""
        return super().is_valid() and self.preview_days is None
