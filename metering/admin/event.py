"""The ledger, for looking, and for corrections, which add to it. Nothing here changes it."""

import json
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import F, Func, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.answering.event_listing import Cursor, EventFilter, events_page
from metering.catalogue import current
from metering.errors import Invalid
from metering.measuring.meaning import Unreadable
from metering.models import MetricDefinition, UsageEvent

from . import cells, file_columns
from .correction import correction_of, event_link, origin_of
from .event_corrections import CorrectableEvents
from .event_search import ids_of_events_called
from .event_voids import CancellationFilter, voids_of
from .filters import EventNameFilter, InstantRangeFilter, ProjectFilter
from .paging import Place, PlaceChangeList, RowPage, page_by_id
from .row_ids import id_from

SHOWN_LABELS = 8  # enough to recognise an event; all of them are on its page


@admin.register(UsageEvent)
class UsageEventAdmin(CorrectableEvents):
    """Without a filter newest recorded first, by primary key; with one newest use first, by the index
    usage_event_by_project."""

    intro = _(
        "What was used, exactly as it was reported. Rows are never changed or removed; a correction is a new "
        "row. Newest recorded first; with a filter, newest use first."
    )
    empty_title = _("No events here")
    empty_text = _(
        "Applications send usage to POST /api/v1/usage-events/ with an API key. Check the filters."
    )
    list_display = ("id", "when", "project_key", "name", "subject", "amount", "payer", "key")
    list_display_links = ("id",)
    list_select_related = ("project", "billing_scope")
    csv_columns = file_columns.USAGE_EVENTS
    list_filter = (
        ("project", ProjectFilter),
        EventNameFilter,
        ("occurred_at", InstantRangeFilter),
        CancellationFilter,
    )
    linked_lookups = ("billing_scope__id__exact",)
    search_fields = ("event_id",)
    search_help_text = _("Ledger id or event id, exactly")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "kind_badge",
                    "event_name",
                    "quantity_exact",
                    "subject_full",
                    "occurred",
                    "recorded",
                )
            },
        ),
        (_("Whose and who pays"), {"fields": ("project_full", "surface", "payer_full")}),
        (_("Labels"), {"fields": ("labels_pretty",)}),
        (_("What it counts for"), {"fields": ("counted_by", "cancelled", "amends")}),
        (
            _("Identity"),
            {
                "fields": ("id", "source", "event_id", "digest_hex"),
                "description": _(
                    "The same project, source and event id are recorded once, for ever. The digest is a hash "
                    "of the event as it was sent."
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).defer("digest")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row_id = id_from(object_id) or 0
        event: Any = (
            UsageEvent.objects.select_related("project", "billing_scope", "surface")
            .annotate(
                # As text: a JSON number would pass through a float.
                labels_text=Cast("labels", TextField()),
                labels_laid_out=Func(F("labels"), function="jsonb_pretty", output_field=TextField()),
            )
            .filter(pk=row_id)
            .first()
        )
        if event is not None:
            event.voided_by = voids_of([event]).get(event.pk)
        return event

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        if not search_term.strip():
            return queryset, False
        project_id = id_from(request.GET.get("project__id__exact"))
        return queryset.filter(pk__in=ids_of_events_called(search_term, project_id=project_id)), False

    def rows_in_file(self, changelist: PlaceChangeList) -> QuerySet:
        rows: QuerySet = changelist.queryset
        if changelist.query or not self._is_filtered(changelist):
            return rows.order_by("-pk")
        return rows.order_by("-occurred_at", "-pk")

    @staticmethod
    def _is_filtered(changelist: PlaceChangeList) -> bool:
        span = changelist.spec(InstantRangeFilter)
        is_named = changelist.spec(EventNameFilter).value() or changelist.spec(CancellationFilter).wanted()
        is_of_one = changelist.chosen_id(ProjectFilter) is not None
        return bool(is_of_one or is_named or span.start or span.end)

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        page = self._page_at(changelist, place)
        voids = voids_of(page.rows)
        for event in page.rows:
            event.voided_by = voids.get(event.pk)
        return page

    def _page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        rows = changelist.queryset.select_related("project", "billing_scope")
        span = changelist.spec(InstantRangeFilter)
        project_id = changelist.chosen_id(ProjectFilter)
        event_name = changelist.spec(EventNameFilter).value()
        cancellation = changelist.spec(CancellationFilter).wanted()
        if changelist.query or not self._is_filtered(changelist):
            return page_by_id(rows, place=Place.from_text(place), size=self.list_per_page)
        try:
            cursor = Cursor.from_text(place) if place else None
        except Invalid:
            cursor = None
        page = events_page(
            EventFilter(
                project_ids=None if project_id is None else [project_id],
                event_name=event_name or None,
                start=span.start,
                end=span.end,
                **cancellation,
            ),
            cursor=cursor,
            limit=self.list_per_page,
        )
        by_id = UsageEvent.objects.select_related("project", "billing_scope").in_bulk(
            [event["id"] for event in page.events]
        )
        return RowPage(
            [by_id[event["id"]] for event in page.events],
            newer=page.preceding.text if page.preceding else None,
            older=page.following.text if page.following else None,
        )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("occurred at"))
    def when(self, event: UsageEvent) -> SafeString:
        return cells.moment(event.occurred_at)

    @admin.display(description=_("project"))
    def project_key(self, event: UsageEvent) -> SafeString:
        return cells.project_link(event.project)

    @admin.display(description=_("event"))
    def name(self, event: Any) -> SafeString:
        heading = cells.code(event.event_name)
        if event.voids is not None:
            return cells.two_lines(heading, self._badge_of_void(event.voids))
        if event.voided_by is not None:
            return cells.two_lines(heading, self._badge_of_voided(event.voided_by))
        preview = ", ".join(
            f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
            for name, value in list(event.labels.items())[:SHOWN_LABELS]
        )
        return cells.two_lines(heading, cells.one_line(preview))

    def _badge_of_void(self, voided_id: int) -> SafeString:
        title = gettext("Cancels event %d") % voided_id
        return cells.link(
            self.page_url("change", voided_id),
            cells.badge(pgettext("of an event", "Void"), "warning"),
            title=title,
        )

    def _badge_of_voided(self, void_id: int) -> SafeString:
        title = gettext("Cancelled by event %d") % void_id
        return cells.link(
            self.page_url("change", void_id), cells.badge(gettext("Voided"), "danger"), title=title
        )

    @admin.display(description=_("subject"))
    def subject(self, event: UsageEvent) -> str:
        if not event.subject_id and not event.subject_type:
            return cells.DASH
        return cells.two_lines(cells.one_line(event.subject_id or cells.DASH), event.subject_type)

    @admin.display(description=_("quantity"))
    def amount(self, event: UsageEvent) -> SafeString:
        return cells.number(event.quantity)

    @admin.display(description=_("paid by"))
    def payer(self, event: UsageEvent) -> SafeString:
        return cells.project_link(event.billing_scope)

    @admin.display(description=_("event id"))
    def key(self, event: UsageEvent) -> SafeString:
        return cells.two_lines(cells.code(event.event_id), event.source)

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("kind"))
    def kind_badge(self, event: Any) -> SafeString:
        if event.voids is not None:
            return self._badge_of_void(event.voids)
        usage = cells.badge(event.get_kind_display(), "success")
        return usage if event.voided_by is None else self._badge_of_voided(event.voided_by)

    @admin.display(description=_("quantity"))
    def quantity_exact(self, event: UsageEvent) -> str:
        if event.quantity is None:
            return gettext("none: the event counts as 1, or its value is a label")
        return cells.grouped(event.quantity)

    @admin.display(description=_("subject"))
    def subject_full(self, event: UsageEvent) -> str:
        return " · ".join(part for part in (event.subject_type, event.subject_id) if part) or cells.DASH

    @admin.display(description=_("occurred at"))
    def occurred(self, event: UsageEvent) -> SafeString:
        return cells.two_lines(
            cells.moment(event.occurred_at), gettext("When the use happened, by its producer.")
        )

    @admin.display(description=_("recorded at"))
    def recorded(self, event: UsageEvent) -> SafeString:
        return cells.two_lines(
            cells.moment(event.recorded_at), gettext("When the ledger took it, by our clock.")
        )

    @admin.display(description=_("project"))
    def project_full(self, event: UsageEvent) -> SafeString:
        return cells.two_lines(cells.project_link(event.project), event.project.name)

    @admin.display(description=_("paid by"))
    def payer_full(self, event: UsageEvent) -> SafeString:
        note = gettext("Decided when the event was recorded; later rules don't change it.")
        return cells.two_lines(cells.project_link(event.billing_scope), note)

    @admin.display(description=_("labels"))
    def labels_pretty(self, event: Any) -> SafeString:
        return cells.pretty_json(event.labels_laid_out)

    @admin.display(description=_("digest"))
    def digest_hex(self, event: UsageEvent) -> SafeString:
        return cells.code(bytes(event.digest).hex())

    @admin.display(description=_("metrics"))
    def counted_by(self, event: Any) -> str:
        """The metrics that read this event, and what each read."""
        if event.kind == UsageEvent.Kind.VOID:
            return gettext("It takes back what the cancelled event counted for.")
        labels = json.loads(event.labels_text, parse_float=Decimal)
        catalogue = current()
        names = dict(MetricDefinition.objects.values_list("pk", "display_name"))
        lines = []
        for meaning in catalogue.listening(catalogue.project_by_id(event.project_id), event.event_name):
            is_after = event.pk > meaning.counts_from
            is_before = meaning.archived_from is None or event.pk <= meaning.archived_from
            if not (is_after and is_before and meaning.matches(labels)):
                continue
            try:
                reading = meaning.reading(event.quantity, labels)
            except Unreadable:
                continue
            url = reverse("admin:metering_metricdefinition_change", args=[meaning.metric_id])
            value = numerals.with_unit(cells.grouped(reading), meaning.unit)
            lines.append(cells.two_lines(cells.link(url, names[meaning.metric_id]), value))
        if not lines:
            return gettext("None.")
        if event.voided_by is not None:
            lines.insert(0, format_html("<p>{}</p>", gettext("None any more. Until it was voided:")))
        return format_html_join("", "{}", ((line,) for line in lines))

    @admin.display(description=_("cancellation"))
    def cancelled(self, event: Any) -> str:
        """What cancels what; and who did it, and why."""
        if event.voids is not None:
            link = cells.link(self.page_url("change", event.voids), gettext("Cancels event %d") % event.voids)
        elif event.voided_by is not None:
            words = gettext("Cancelled by event %d") % event.voided_by
            link = cells.link(self.page_url("change", event.voided_by), words)
        else:
            return gettext("Not cancelled.")
        correction = correction_of(event)
        if correction is None:
            return link
        account = format_html(
            "{} · {} · “{}”", cells.moment(correction.corrected_at), correction.actor, correction.reason
        )
        if correction.replacement is not None:
            instead = format_html(gettext("Recorded instead: {}"), event_link(correction.replacement))
            account = format_html("{}<br>{}", account, instead)
        return cells.two_lines(link, account)

    @admin.display(description=_("takes the place of"))
    def amends(self, event: UsageEvent) -> str:
        correction = origin_of(event)
        if correction is None:
            return gettext("No other event.")
        return cells.two_lines(
            cells.link(self.page_url("change", correction.event), gettext("Event %d") % correction.event),
            format_html(
                "{} · {} · “{}”", cells.moment(correction.corrected_at), correction.actor, correction.reason
            ),
        )
