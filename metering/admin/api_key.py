"""API keys: made, shown once, revoked."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from metering.clock import database_now
from metering.keys import create_api_key, revoke_api_key
from metering.models import ApiKey

from . import cells, file_columns
from .base import EditableAdmin, VerbForm
from .filters import ProjectFilter
from .row_ids import id_from

STATE_COLOURS = {
    ApiKey.State.ACTIVE: "success",
    ApiKey.State.EXPIRED: "warning",
    ApiKey.State.REVOKED: "danger",
}
PERMISSION_COLOURS = {
    "ingest": "info",
    "read": "",
    "manage": "warning",
    "backfill": "warning",
    "bill": "danger",
}


class StateFilter(DropdownFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(ApiKey.State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        now = database_now()
        if self.value() == ApiKey.State.REVOKED:
            return queryset.exclude(revoked_at=None)
        if self.value() == ApiKey.State.EXPIRED:
            return queryset.filter(revoked_at=None, expires_at__lte=now)
        if self.value() == ApiKey.State.ACTIVE:
            return queryset.filter(revoked_at=None).exclude(expires_at__lte=now)
        return queryset


class ApiKeyForm(VerbForm):
    permissions = forms.MultipleChoiceField(
        label=_("Permissions"),
        choices=ApiKey.Permission.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        initial=[ApiKey.Permission.INGEST],
        help_text=_(
            "Give the least: an application that only reports usage needs “Send usage”. “Record closed "
            "periods” lets it record into quota periods that have ended."
        ),
    )


def may_let_bill(user: Any) -> bool:
    """A key is given no more than its maker may do: to let it bill takes the rights of everybody who does."""
    return bool(user.has_perms(settings.RIGHTS_TO_LET_KEYS_BILL))


@admin.register(ApiKey)
class ApiKeyAdmin(EditableAdmin):
    form = ApiKeyForm
    intro = _(
        "What applications call the API with. A key sees its project and everything below it. Its secret is "
        "shown once, when the key is made; a lost key is revoked and replaced."
    )
    empty_title = _("No API keys yet")
    empty_text = _("Add one for each application, so that each can be revoked on its own.")
    csv_more = file_columns.API_KEY_STATE
    list_display = ("name", "prefix", "project_key", "may", "state", "expires", "used")
    list_display_links = ("name",)
    list_select_related = ("project",)
    list_filter = (("project", ProjectFilter), StateFilter)
    search_fields = ("name", "key_id")
    search_help_text = _("Name or prefix")
    sortable_by = ("name",)
    autocomplete_fields = ("project",)
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "prefix", "project_key", "may", "state", "created_by"),
                "description": _(
                    "Only the name can be changed. For other rights, make a new key and revoke this."
                ),
            },
        ),
        (_("Times"), {"fields": ("created", "expires", "used", "revoked")}),
    )
    readonly_fields = (
        "prefix",
        "project_key",
        "may",
        "state",
        "created_by",
        "created",
        "expires",
        "used",
        "revoked",
    )
    actions_detail = ("revoke",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return self.fieldsets
        bills = ("may_bill",) if may_let_bill(request.user) else ()
        return ((None, {"fields": ("name", "project", "permissions", *bills, "expires_at")}),)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"may_bill": False, **super().get_changeform_initial_data(request)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        return super().get_search_results(
            request, queryset, ApiKey.without_secret(search_term.strip()).removeprefix("mbk_")
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        if change:
            obj.save(update_fields=["name"])
            return
        created, secret = create_api_key(
            project=given["project"],
            name=given["name"],
            permissions=given["permissions"],
            expires_at=given["expires_at"],
            may_bill=given.get("may_bill", False),
            created_by=request.user.get_username(),
        )
        self.adopt(obj, created)
        obj.shown_once = secret

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        # After a key is made there is one page to see, whatever button was pressed.
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The key itself, in the answer to the very request that made it: it is kept nowhere, not even in the
        session, so there is nothing to redirect to."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("The new API key"),
            "subtitle": obj.name,
            "key": obj,
            "secret": obj.shown_once,
            "key_url": self.page_url("change", obj.pk),
            "list_url": self.page_url("changelist"),
        }
        response = TemplateResponse(request, "admin/metering/apikey/shown_once.html", context)
        add_never_cache_headers(response)
        return response

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        is_revoked = ApiKey.objects.filter(pk=id_from(str(object_id)) or 0).exclude(revoked_at=None).exists()
        return [] if is_revoked else list(super().get_actions_detail(request, object_id))

    # -- columns -----------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.state_now = row.state(at=now)

    @admin.display(description=_("prefix"))
    def prefix(self, key: ApiKey) -> SafeString:
        return cells.code(f"{key.shown_prefix}…")

    @admin.display(description=_("project"))
    def project_key(self, key: ApiKey) -> SafeString:
        return cells.project_link(key.project)

    @admin.display(description=_("permissions"))
    def may(self, key: ApiKey) -> SafeString:
        bills = ["bill"] if key.may_bill and "manage" in key.permissions else []
        return cells.badges([(name, PERMISSION_COLOURS.get(name, "")) for name in [*key.permissions, *bills]])

    @admin.display(description=_("state"))
    def state(self, key: ApiKey) -> SafeString:
        state = getattr(key, "state_now", None) or key.state(at=database_now())
        return cells.badge(state.label, STATE_COLOURS[state])

    @admin.display(description=_("created at"))
    def created(self, key: ApiKey) -> SafeString:
        return cells.moment(key.created_at)

    @admin.display(description=_("expires at"))
    def expires(self, key: ApiKey) -> SafeString:
        return cells.moment(key.expires_at, empty=gettext("never"))

    @admin.display(description=_("last used at"))
    def used(self, key: ApiKey) -> SafeString:
        return cells.moment(key.last_used_at, empty=gettext("never"))

    @admin.display(description=_("revoked at"))
    def revoked(self, key: ApiKey) -> SafeString:
        return cells.moment(key.revoked_at)

    @action(
        description=_("Revoke"),
        url_path="revoke",
        permissions=["change"],
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = get_object_or_404(ApiKey.objects.select_related("project"), pk=object_id)
        back_url = self.page_url("change", key.pk)
        if request.method == "POST":
            revoke_api_key(key, revoked_at=database_now())
            self.log_change(request, key, [{"changed": {"fields": [gettext_noop("revoked at")]}}])
            return self.done(request, gettext("“%s” is revoked.") % key.name, url=back_url)
        return self.confirmation(
            request,
            title=_("Revoke an API key"),
            subtitle=str(key),
            sentences=[
                _("The next request with this key is refused. This can't be undone."),
                _("What it recorded stays, and the key stays listed."),
            ],
            button=_("Revoke the key"),
            back_url=back_url,
            original=key,
        )
