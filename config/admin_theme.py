"""How the admin looks and what its sidebar offers. The theme's own files are local; nothing is fetched."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import get_script_prefix, reverse
from django.utils.functional import lazy
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


def _url(name: str) -> Any:
    """As `reverse_lazy`, but found once: each page asks for each link of the sidebar some fourteen times."""
    return lazy(lambda: _url_below(get_script_prefix(), name), str)()


@cache
def _url_below(prefix: str, name: str) -> str:
    return reverse(name)


def _may(*permissions: str) -> Callable[[HttpRequest], bool]:
    """Whether the signed-in person holds any of the permissions."""
    return lambda request: any(request.user.has_perm(one) for one in permissions)


def _page(title: object, icon: str, model: str, *rights: str) -> dict[str, object]:
    """The changelist of `app.model`, for those who may see it or hold one of the `rights`."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": _url(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}", f"{app}.change_{name}", *rights),
    }


_RULES_URL = _url("admin:metering_attributionrule_changelist")
_PLANS_URL = _url("admin:billing_plan_changelist")
_WHAT_IF_URL = _url("admin:billing_plan_what_if")
_USAGE_URL = _url("admin:metering_usage")
_ROLLUPS_URL = _url("admin:metering_usagemeterrollup_changelist")
_TREE_URL = _url("admin:metering_attributionrule_tree")

_BILLING_URL = _url("admin:billing_overview")
_REVIEW_URL = _url("admin:billing_review")
_RUNS_URL = _url("admin:billing_billingrun_changelist")


def _is_at(request: HttpRequest, url: object) -> bool:
    return request.path.startswith(str(url))


def _is_at_runs(request: HttpRequest) -> bool:
    """On a page of runs, and not on one of the two pages of billing that lie below."""
    is_other = _is_at(request, _BILLING_URL) or _is_at(request, _REVIEW_URL)
    return _is_at(request, _RUNS_URL) and not is_other


def _open_alerts() -> str:
    """How many alerts wait, beside their page. Empty: no badge, which the theme's own callback can't say."""
    return str(import_string("quotas.admin.alert.open_alerts_badge")())


def _group(title: object, *items: dict[str, object]) -> dict[str, object]:
    return {"title": title, "items": list(items)}


UNFOLD: dict[str, object] = {
    "SITE_TITLE": _("Meterbook"),
    "SITE_HEADER": _("Meterbook"),
    "SITE_SUBHEADER": _("Usage, limits, billing"),
    "SITE_SYMBOL": "speed",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("metering/icon.svg"),
        },
    ],
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "ACCOUNT": {
        "navigation": [
            {"title": _("Preferences"), "link": _url("preferences")},
            {"title": _("Two-step sign-in"), "link": _url("two_steps")},
            {"title": _("Change password"), "link": _url("admin:password_change")},
        ],
    },
    "DASHBOARD_CALLBACK": "metering.admin.home.home",
    "STYLES": [lambda request: static("metering/admin.css")],
    "SCRIPTS": [
        lambda request: static("metering/charts.js"),
        lambda request: static("metering/search.js"),
        lambda request: static("metering/accessible.js"),
    ],
    "COLORS": {
        # Blue with enough contrast for white text on 600 and for links on white (WCAG AA).
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": _("Home"), "icon": "home", "link": _url("admin:index")},
                ],
            },
            _group(
                _("Usage"),
                {
                    "title": _("Usage over time"),
                    "icon": "monitoring",
                    "link": _USAGE_URL,
                    "permission": _may("metering.view_usagemeterrollup"),
                },
                _page(_("Usage events"), "receipt_long", "metering.usageevent"),
                _page(_("Corrections"), "edit_note", "metering.correction"),
                _page(_("Rollups"), "table_chart", "metering.usagemeterrollup")
                | {
                    "active": lambda request: (
                        _is_at(request, _ROLLUPS_URL) and not _is_at(request, _USAGE_URL)
                    )
                },
                _page(_("Metrics"), "straighten", "metering.metricdefinition"),
            ),
            _group(
                _("Scope and keys"),
                _page(_("Projects"), "account_tree", "metering.project"),
                {
                    "title": _("Who pays for what"),
                    "icon": "payments",
                    "link": _TREE_URL,
                    "permission": lambda request: request.user.has_perms(
                        ["metering.view_attributionrule", "metering.view_project"]
                    ),
                },
                _page(_("Attribution rules"), "rule", "metering.attributionrule")
                | {"active": lambda request: _is_at(request, _RULES_URL) and not _is_at(request, _TREE_URL)},
                _page(_("Surfaces"), "extension", "metering.surfaceinstallation"),
                _page(_("API keys"), "key", "metering.apikey"),
            ),
            _group(
                _("Limits"),
                _page(_("Quotas"), "data_usage", "quotas.projectquota"),
                _page(_("Thresholds"), "notifications_active", "quotas.usagethreshold"),
                _page(_("Alerts"), "inbox", "quotas.alert")
                | {"badge": _open_alerts, "badge_variant": "danger"},
                _page(_("Temporary limits"), "more_time", "quotas.quotaoverride"),
                _page(_("Holds"), "bookmark", "quotas.quotahold"),
                _page(_("Decisions"), "gavel", "quotas.quotadecision"),
                _page(_("History of quotas"), "history", "quotas.quotachange"),
                _page(_("History of thresholds"), "history", "quotas.thresholdchange"),
                _page(_("History of temporary limits"), "history", "quotas.overridechange"),
            ),
            _group(
                _("Announcements"),
                _page(_("Webhook endpoints"), "webhook", "metering.webhookendpoint"),
                _page(_("Deliveries"), "outbound", "metering.webhookdelivery"),
                _page(_("Domain events"), "campaign", "metering.domainevent"),
                _page(_("Mails"), "mail", "metering.outgoingmail"),
            ),
            _group(
                _("Billing"),
                {
                    "title": _("Overview of billing"),
                    "icon": "account_balance",
                    "link": _BILLING_URL,
                    "permission": _may("billing.view_invoice"),
                },
                {
                    "title": _("Review queue"),
                    "icon": "rate_review",
                    "link": _REVIEW_URL,
                    "permission": _may("billing.view_invoice"),
                },
                _page(_("Invoices"), "request_quote", "billing.invoice"),
                _page(_("Billing accounts"), "business", "billing.billingaccount"),
                _page(_("Subscriptions"), "event_repeat", "billing.subscription"),
                _page(_("Plans"), "sell", "billing.plan")
                | {
                    "active": lambda request: (
                        _is_at(request, _PLANS_URL) and not _is_at(request, _WHAT_IF_URL)
                    )
                },
                {
                    "title": _("What if"),
                    "icon": "query_stats",
                    "link": _WHAT_IF_URL,
                    "permission": lambda request: request.user.has_perms(
                        ["billing.view_plan", "billing.view_billingaccount"]
                    ),
                },
                _page(_("Prepaid credit"), "savings", "billing.creditgrant"),
                _page(_("Movements of credit"), "swap_vert", "billing.creditentry"),
                _page(_("Corrections of periods"), "published_with_changes", "billing.periodcorrection"),
                _page(_("Billing runs"), "play_circle", "billing.billingrun", "billing.start_billingrun")
                | {"active": _is_at_runs},
                _page(_("Parked accounts"), "pause_circle", "billing.parkedaccount"),
                _page(_("Seller"), "storefront", "billing.seller"),
                _page(_("Number series"), "pin", "billing.numberseries"),
            ),
            _group(
                _("Files"),
                _page(_("Exports"), "download", "metering.export", "metering.export_data"),
                _page(_("Imports"), "upload_file", "metering.eventimport", "metering.import_events"),
            ),
            _group(
                _("Operations"),
                _page(_("Schedule"), "schedule", "django_celery_beat.periodictask"),
                _page(_("Heartbeats"), "ecg_heart", "metering.heartbeat"),
                _page(_("Fences"), "fence", "metering.fence"),
                _page(_("Rebuilds"), "rebase_edit", "metering.rolluprebuild"),
                _page(_("Seals"), "verified_user", "metering.ledgerseal"),
                {
                    "title": _("History of changes"),
                    "icon": "history",
                    "link": _url("history_of_changes"),
                    "permission": lambda request: import_string("metering.admin.history.may_see_history")(
                        request
                    ),
                },
                _page(_("Verifications"), "fact_check", "metering.verificationrun", "metering.verify_ledger"),
            ),
            _group(
                _("Staff"),
                _page(_("Users"), "person", "auth.user"),
                _page(_("Groups"), "group", "auth.group"),
                _page(_("Sign-ins"), "login", "axes.accesslog"),
                _page(_("Failed sign-ins"), "gpp_bad", "axes.accessfailurelog"),
                _page(_("Locks"), "lock_clock", "axes.accessattempt", "auth.change_user"),
            ),
        ],
    },
    "TABS": [
        {
            "models": [
                "django_celery_beat.periodictask",
                "django_celery_beat.intervalschedule",
                "django_celery_beat.crontabschedule",
            ],
            "items": [
                {
                    "title": _("Jobs"),
                    "link": _url("admin:django_celery_beat_periodictask_changelist"),
                },
                {
                    "title": _("Intervals"),
                    "link": _url("admin:django_celery_beat_intervalschedule_changelist"),
                },
                {
                    "title": _("Calendar times"),
                    "link": _url("admin:django_celery_beat_crontabschedule_changelist"),
                },
            ],
        },
    ],
}
