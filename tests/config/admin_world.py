"""One row of everything that the admin shows, and how to open each of its pages."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from billing.invoicing.draft_edits import ManualLine, add_discount, add_line, begin_invoice
from billing.models import (
    BillingRun,
    Invoice,
    InvoiceLine,
    ParkedAccount,
    Payment,
    Plan,
)
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from config.urls import urlpatterns
from metering.attributing.scope_tree import attribute, install_surface
from metering.clock import ledger_end
from metering.delivering.endpoints import add_endpoint
from metering.importing.event_uploads import store_upload
from metering.keys import create_api_key
from metering.models import (
    EventImport,
    Export,
    ExportPiece,
    Fence,
    MetricDefinition,
    OwedObservation,
    PendingContribution,
    Project,
)
from metering.roles import Role
from metering.rolling_up.rebuild_requests import request_rebuild
from metering.rolling_up.rollups import roll_up
from metering.sealing.seals import seal_ledger
from metering.verifying.verification import request_verification
from quotas.alerting import post_alerts
from quotas.enforcement import change_quota
from quotas.holds import reserve
from quotas.notebook import NOTEBOOK
from quotas.overrides import override_quota
from quotas.thresholds import change_threshold
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded
from tests.quotas.factories import a_quota, a_threshold

PASSWORD = "correct horse battery staple"


def a_whole_world() -> None:
    """Acme: metered, limited, told by webhook and mail, billed and late for it; staff of all roles."""
    platform = a_project("platform", kind="tenant", name="Platform")
    acme = a_project("acme", name="Acme", parent=platform)
    attribute(a_project("chat", parent=acme), payer=acme)
    install_surface(project=acme, key="search", name="Search")
    create_api_key(project=acme, name="Backend", permissions=["ingest", "read"])
    tokens = a_metric("tokens", display_name="Tokens", unit="token", primary_labels=["model"])
    _endpoint, _secret = add_endpoint(project=acme, url="https://198.51.99.7/hook")
    _limited(acme, tokens)
    a_void_of(used(acme, "1")[0])
    _billed(acme, tokens)
    roll_up()
    post_alerts(at_once=True)
    _kept(tokens)
    for name in (*Role.values, "Nobody", "Root"):
        user = User.objects.create_user(name.lower(), password=PASSWORD, is_staff=True)
        user.is_superuser = name == "Root"
        user.save()
        user.groups.set(Group.objects.filter(name=name))


def _limited(acme: Project, tokens: MetricDefinition) -> None:
    quota = a_quota(acme, tokens, limit="500")
    change_quota(quota, limit="400")
    override = {"limit": "1000", "effective_until": at("2999-01-01T00:00:00Z"), "actor": "ann"}
    override_quota(quota, reason="a fair", **override)
    threshold = a_threshold(acme, tokens, amount="50", notify_emails=["ops@acme.example"])
    change_threshold(threshold, amount="60")
    reserve(acme, metric_key="tokens", quantity="10", expires_in=600, members={})
    a_quota(acme, a_metric("calls", event_name="calls", aggregation="COUNT"), limit="0")
    recorded(an_event("acme", event_name="calls", subject_id="kim"), on_error="skip")
    NOTEBOOK.flush()


def _billed(acme: Project, tokens: MetricDefinition) -> None:
    """March is issued and partly paid, late usage waits for a decision, and April is a draft."""
    a_seller()
    account = an_account(acme, approve_corrections_above=Decimal(0), invoice_emails=["a@acme.example"])
    plan = a_plan(a_fee("30"), a_usage_price(tokens), key="pro", name="Pro")
    a_draft(a_fee("10"), a_usage_price(tokens), key="next", name="Next")
    a_subscription(account, plan)
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-02T00:00:00Z")
    record_payment(invoice, amount=Decimal(5), received_on=timezone.now().date(), now=timezone.now())
    used(acme, "50")
    billed("2026-05-01T00:00:00Z")
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal(50))], edited_by="ada")
    add_line(draft, ManualLine("More work", Decimal(5)), added_by="ada")
    add_discount(draft, name="Less", reason="Loyal", percent=Decimal(5), added_by="ada")
    grant_credit(account, amount=Decimal(20), kind="paid", name="Order 17", now=timezone.now())
    run = BillingRun.objects.latest("id")
    ParkedAccount.objects.create(account=account, code="conflict", reason="Two plans.", run=run)


def _kept(tokens: MetricDefinition) -> None:
    now = timezone.now()
    Fence.objects.create(position=ledger_end(), fenced_at=now)
    seal_ledger()
    request_rebuild(tokens, requested_by="ann")
    request_verification(trigger="admin", requested_by="ann")
    store_upload([b"time,event\n2026-03-01,tokens\n"], file_name="usage.csv", requested_by="operator")
    export = Export.objects.create(
        kind="usage_events", requested_by="auditor", state="finished", piece_count=1
    )
    ExportPiece.objects.create(export=export, number=0, data=b"a,b\n")
    Export.objects.filter(pk=export.pk).update(byte_count=4, finished_at=now)
    used(Project.objects.get(key="acme"), "1")
    PendingContribution.objects.update(failure="It can't be added.")
    OwedObservation.objects.create(
        observer=settings.METERING_TICK_OBSERVERS[0],
        metric_id=tokens.pk,
        project_id=tokens.pk,
        billing_scope_id=tokens.pk,
        first_hour=now,
        last_hour=now,
        failure="It can't be evaluated.",
    )
    address = {"username": "ann", "ip_address": "192.0.2.7", "user_agent": "A browser", "attempt_time": now}
    AccessLog.objects.create(**address, logout_time=None)
    AccessFailureLog.objects.create(**address, locked_out=True)
    AccessAttempt.objects.create(**address, get_data="", post_data="", failures_since_start=5)


@dataclass(frozen=True, slots=True)
class Page:
    """One address of the admin; `name` is that of its route."""

    name: str
    url: str


def _draft() -> Invoice:
    return Invoice.objects.get(issued_at=None, origin=Invoice.Origin.MANUAL)


def _issued() -> Invoice:
    return Invoice.objects.get(issued_at__isnull=False)


def _plan_in_draft() -> Plan:
    return Plan.objects.get(key="next")


_OF_AN_ISSUED_INVOICE = {
    "billing_invoice_change",
    "billing_invoice_record_payment",
    "billing_invoice_take_back_payment",
    "billing_invoice_begin_credit_note",
    "billing_invoice_void",
    "billing_invoice_pdf",
    "billing_invoice_csv",
    "billing_invoice_resend",
}
# Rows that a page is about, where the first of the table isn't the one.
ROWS: dict[str, Callable[[], Model]] = {
    "billing_plan_change": _plan_in_draft,
    "billing_plan_publish": _plan_in_draft,
    "billing_plan_remove": _plan_in_draft,
    "metering_eventimport_rejects": lambda: EventImport.objects.latest("pk"),
}
# What stands in an address besides the row.
ARGUMENTS: dict[str, Callable[[], object]] = {
    "form": lambda: "csv",
    "project_id": lambda: Project.objects.get(key="acme").pk,
    "plan_id": lambda: _plan_in_draft().pk,
    "position": lambda: 2,
    "kind": lambda: "fixed",
    "line_id": lambda: InvoiceLine.objects.filter(invoice=_draft()).latest("position").pk,
    "discount_id": lambda: _draft().discounts.get().pk,
    "payment_id": lambda: Payment.objects.get().pk,
    "app_label": lambda: "metering",
    "content_type_id": lambda: ContentType.objects.get_for_model(Project).pk,
    "url": lambda: "no/such/page/",
}


def pages() -> list[Page]:
    """Every address that the admin answers at, one for each route; also what a new page brings, by itself.

    Raises `LookupError` for a route with arguments that nothing here knows a value for.
    """
    found = {}
    beside = [each for each in urlpatterns if str(each.pattern).startswith("admin/") and not _is_site(each)]
    for route, name in [*_routes(admin.site.get_urls(), "admin/"), *_routes(beside)]:
        page = Page(name or route, "/" + _filled(route, name))
        found[page.url] = page
    return list(found.values())


def _is_site(pattern: URLPattern | URLResolver) -> bool:
    return isinstance(pattern, URLResolver) and pattern.app_name == "admin"


def _routes(patterns: Any, before: str = "") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        route = before + _plain(pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.name or ""


def _plain(pattern: Any) -> str:
    """`<int:pk>` and the framework's two regular expressions as `{pk}`."""
    text = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", str(pattern.pattern))
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", text).strip("^$")


def _filled(route: str, name: str) -> str:
    values: dict[str, object] = {}
    for argument in re.findall(r"{(\w+)}", route):
        if argument in {"object_id", "id"}:
            values[argument] = quote(_row(route, name).pk)
        elif argument in ARGUMENTS:
            values[argument] = ARGUMENTS[argument]()
        else:
            raise LookupError(f"{name}: tests/config/admin_world.py has no value for “{argument}” of {route}")
    return route.format(**values)


def _row(route: str, name: str) -> Model:
    if name in ROWS:
        return ROWS[name]()
    if name in _OF_AN_ISSUED_INVOICE:
        return _issued()
    app, model_name = route.removeprefix("admin/").split("/")[:2]
    if app == "r":
        return Project.objects.get(key="acme")
    model = apps.get_model(app, model_name)
    if model is Invoice:
        return _draft()
    if model is Project:
        return Project.objects.get(key="acme")
    row = model._default_manager.order_by("pk").first()
    if row is None:
        raise LookupError(f"{name}: tests/config/admin_world.py makes no row of {model._meta.label}")
    return row


def names_by_url() -> dict[str, str]:
    """The route's name of each address."""
    return {page.url: page.name for page in pages()}
