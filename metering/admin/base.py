"""What every admin page stands on: read-only unless a class says otherwise, and writing through verbs."""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import DecimalField, Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from unfold.admin import checkbox

from metering import moments
from metering.accountability import because
from metering.errors import MeterbookError
from metering.house_language import in_house_language
from metering.menu import title_in_menu

from .day_fields import says_how_days_are_written
from .history_links import history_of, is_followed
from .list_download import ListDownload
from .narrowing import NarrowChangeList
from .number_fields import NumberField, NumberInput
from .reason import CHANGE_REASON, asking_why
from .refusals import worded
from .row_ids import RowSelect
from .undoing import undo_url_of

BACK_TO_FORM = "_back_to_form"  # posted: the form once more with what was typed, and nothing saved


@cache
def _checkbox(language: str | None) -> str:
    """The theme's, with a place for the row's key: rendered for each row, it is a tenth of a page."""
    return checkbox.render(ACTION_CHECKBOX_NAME, "{}")


class OutermostVerbs(admin.ModelAdmin):
    """Change forms without Django's surrounding transaction.

    A verb opens its own, which must be the outermost: it may hold the recording lock, and a transaction
    around it would hold that lock until the page is rendered.
    """

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]


class HouseAdmin(ListDownload):
    """The common look. Third-party tables, which have no verbs of ours, stand on it directly."""

    list_per_page: ClassVar[int] = 50
    show_facets = admin.ShowFacets.NEVER  # each facet is a COUNT
    list_filter_submit = True
    warn_unsaved_form = True
    list_before_template = "admin/includes/list_intro.html"

    intro: ClassVar[Any] = ""  # one or two sentences above the list: what a row says
    empty_title: ClassVar[Any] = _("Nothing here yet")
    empty_text: ClassVar[Any] = ""  # what to do about it
    linked_lookups: ClassVar[tuple[str, ...]] = ()  # links narrow the list by them, and no filter does
    needs_reason: ClassVar[bool] = False  # changing a row of it takes one: money or limits hang on it

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, DecimalField):
            kwargs = {"form_class": NumberField, "widget": NumberInput(), **kwargs}
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.DateTimeField | forms.SplitDateTimeField):
            field.help_text = f"{field.help_text} {moments.typed_in()}".strip()
        says_how_days_are_written(field)
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", RowSelect(db_field, self.admin_site, using=kwargs.get("using")))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup in self.linked_lookups or super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NarrowChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """None also for a NUL, which the database would refuse in a key that is a text."""
        return None if "\x00" in object_id else super().get_object(request, object_id, from_field)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if ERROR_FLAG in request.GET and request.method == "GET":
            messages.error(request, gettext("This is the whole list: it can't be filtered like that."))
        title = title_in_menu(self.page_url("changelist")) or capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def empty_words(self, request: HttpRequest) -> Any:
        """What a list without rows says to whoever asks: what they can do about it."""
        return self.empty_text

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        self.prepare_rows(request, rows)
        changelist.result_list = rows
        changelist.empty_text = self.empty_words(request)
        return changelist

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Ask what the columns need once for the page, and leave it on the rows."""

    @admin.display(description=ListDownload.action_checkbox.short_description)
    def action_checkbox(self, obj: Any) -> SafeString:
        return format_html(_checkbox(get_language()), obj.pk)

    def page_url(self, name: str, *args: object) -> str:
        """The URL of one of this model's pages: changelist, add, change, or an action."""
        return reverse(
            f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args
        )

    def confirmation(
        self,
        request: HttpRequest,
        *,
        title: Any,
        subtitle: str,
        sentences: Sequence[Any],
        button: Any,
        back_url: str,
        original: Model | None,
        form: forms.Form | None = None,
        is_harmless: bool = False,
    ) -> TemplateResponse:
        """A page that says what will happen and asks for it, by a red button unless it is harmless."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "subtitle": subtitle,
            "original": original,
            "sentences": sentences,
            "button": button,
            "back_url": back_url,
            "form": form,
            "variant": "primary" if is_harmless else "danger",
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/confirm_action.html", context)

    def _asks_why(self, request: HttpRequest, obj: Any) -> bool:
        """On forms by which rows change that have a history, and that don't ask for themselves."""
        return bool(
            obj is not None
            and is_followed(self.model)
            and "reason" not in self.form.base_fields
            and self.has_change_permission(request, obj)
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if self._asks_why(request, obj):
            kwargs["form"] = asking_why(kwargs.get("form", self.form), is_required=self.needs_reason)
        return super().get_form(request, obj, change=change, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        form = context.get("adminform")
        if form is not None and CHANGE_REASON in form.form.fields:
            form.fieldsets = [*form.fieldsets, (None, {"fields": (CHANGE_REASON,)})]
        return super().render_change_form(request, context, *args, **kwargs)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        because(form.cleaned_data.get(CHANGE_REASON))
        return super().save_form(request, form, change)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Its changes, whoever made them and however; the admin's own log knows only of the admin."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kept = self.kept_history(object_id)
        if kept is not None:
            return kept
        named = {"title": gettext("History"), "subtitle": str(self.get_object(request, object_id) or "")}
        page = super().history_view(request, object_id, named | (extra_context or {}))
        for entry in getattr(page, "context_data", {}).get("action_list", ()):
            if entry.change_message and not entry.change_message.startswith("["):
                entry.change_message = gettext(entry.change_message)
        return page

    def kept_history(self, object_id: str) -> HttpResponse | None:
        """The way to the changes of a row; None where none are kept."""
        return history_of(self.model, object_id)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """A text is kept in the house's language; the history of the row says it in that of the page."""
        with in_house_language():
            return super().log_change(request, obj, message if isinstance(message, list) else str(message))

    def log_removal(self, request: HttpRequest, row: Model) -> None:
        """Note who removed what a verb has just removed."""
        self.log_deletions(request, [row])

    def done(self, request: HttpRequest, message: Any, *, url: str) -> HttpResponse:
        messages.success(request, message)
        return HttpResponseRedirect(url)


class ReadOnlyAdmin(HouseAdmin):
    """The default: staff look, nobody writes. Posting to its forms is refused whatever rights they have."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VerbForm(forms.ModelForm):
    """Checks shape; rules are the verb's and the database's, so uniqueness and constraints aren't asked here.

    `refusal` is what the verb said about the same input a moment ago; it becomes an error of the field named.
    """

    refusal: ClassVar[MeterbookError | None] = None
    is_reopened: ClassVar[bool] = False  # shown once more as it was typed

    def is_valid(self) -> bool:
        return not self.is_reopened and super().is_valid()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.refusal is not None:
            field = getattr(self.refusal, "field", None)
            self.add_error(field if field in self.fields else None, worded(self.refusal))
        return cleaned

    def validate_unique(self) -> None:
        """Left to the verb, which says it in the house's words."""

    def _post_clean(self) -> None:
        # The form offers no switch for the model's constraints. Asked here, "no two rules overlap" would
        # refuse the very rule before which the verb ends the running one.
        self.instance.validate_constraints = lambda exclude=None: None
        super()._post_clean()  # type: ignore[misc]
        del self.instance.validate_constraints


class EditableAdmin(HouseAdmin, OutermostVerbs):
    """The exception: forms whose `save_model` calls one verb. Never deletes.

    What the verb refuses with is shown on the form, beside the field at fault.
    """

    actions = None
    form = VerbForm

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form_class: Any = super().get_form(request, obj, change=change, **kwargs)
        form_class.refusal = getattr(request, "refusal", None)
        form_class.is_reopened = BACK_TO_FORM in request.POST
        return form_class

    def _changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._changeform_view(request, *args, **kwargs)
        except MeterbookError as refusal:
            # Nothing was written. Validate once more, this time with the verb's objection.
            request.refusal = refusal  # type: ignore[attr-defined]
            return super()._changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Call the verb. Never `obj.save()`."""
        raise NotImplementedError

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """With a way back in the message, where the change can be put back as it was."""
        request.undo_url = undo_url_of(request.user, obj)  # type: ignore[attr-defined]
        return super().response_change(request, obj)

    def message_user(
        self, request: HttpRequest, message: Any, level: Any = messages.INFO, *args: Any, **kwargs: Any
    ) -> None:
        undo_url = getattr(request, "undo_url", "")
        if undo_url and level == messages.SUCCESS:
            message = format_html(
                '{} <a class="mb-link" href="{}">{}</a>', message, undo_url, gettext("Undo")
            )
        super().message_user(request, message, level, *args, **kwargs)

    def adopt(self, obj: Model, created: Model) -> None:
        """Let the form's unsaved object stand for the row that a verb made."""
        obj.pk = created.pk
        obj._state.adding = False
        obj.refresh_from_db()
