"""The page on which one change of the history is looked at, and put back as it was."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from metering.errors import MeterbookError
from metering.histories import ChangeRow, changes_by_id
from metering.history_names import names_of

from .history import seen_by
from .history_links import PAGE
from .history_words import label_of, shown, value_in_words
from .reason import ReasonForm
from .refusals import worded
from .undoing import is_removal, may_undo, take_back, undo_of, undoable, warnings_on

_LARGEST_ID = 2**31 - 1


def put_back_page(request: HttpRequest, what: str, change_id: int) -> HttpResponse:
    """What it is now, what it becomes, and what follows from that; done by the verbs, for a reason."""
    change = _change(request, what, change_id)
    is_allowed = may_undo(request.user, change)
    if request.method == "POST" and not is_allowed:
        raise PermissionDenied
    is_possible = is_allowed and bool(undoable(request.user, [change]))
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and is_possible and form.is_valid():
        try:
            take_back(change, user=request.user, reason=form.cleaned_data["reason"])
        except MeterbookError as refusal:
            form.add_error(None, worded(refusal))
        else:
            messages.success(request, _("It is as it was before."))
            return HttpResponseRedirect(_history_url(change))
    names = names_of([change])
    context = {
        **admin.site.each_context(request),
        "title": _("Put back as it was"),
        "change": shown(change, names),
        "rows": _rows(change, names) if is_possible else [],
        "is_removal": is_possible and _is_removal(change),
        "sentences": warnings_on(change) if is_possible else [],
        "why_not": "" if is_possible else _why_not(is_allowed, change),
        "form": form if is_possible else None,
        "back_url": _history_url(change),
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "admin/put_back.html", context)


def _change(request: HttpRequest, what: str, change_id: int) -> ChangeRow:
    seen = seen_by(request.user)
    if not seen:
        raise PermissionDenied
    history = next((one for one in seen if one.key == what), None)
    found = changes_by_id(history, [change_id]) if history and change_id <= _LARGEST_ID else []
    if not found:
        raise Http404
    return found[0]


def _is_removal(change: ChangeRow) -> bool:
    undo = undo_of(change.history)
    return undo is not None and is_removal(change, undo)


def _rows(change: ChangeRow, names: Any) -> list[tuple[str, Any, Any]]:
    """Field, what it is now, what it becomes; of what was removed only the last."""
    if _is_removal(change):
        return [
            (label_of(field), "", value_in_words(change, field, change.after, names))
            for field in change.history.fields
            if change.after.get(field.column) not in (None, "", [], {}) and not field.name.endswith("_at")
        ]
    before = change.before or {}
    return [
        (
            label_of(field),
            value_in_words(change, field, change.after, names),
            value_in_words(change, field, before, names),
        )
        for field in change.changed_fields
    ]


def _why_not(is_allowed: bool, change: ChangeRow) -> str:
    if is_allowed:
        return _("It was changed again since; look at the latest change.")
    if undo_of(change.history) is None:
        return _("Changes of this kind aren't put back from here; its own page says what can be done.")
    return _("This change can't be put back, or you may not change what it is of.")


def _history_url(change: ChangeRow) -> str:
    page_id = change.after.get(change.history.page_column)
    query: dict[str, Any] = {"of": change.history.page_model._meta.label_lower, "id": page_id}
    return f"{reverse(PAGE)}?{urlencode(query)}"
