"""The page "History of changes": all configuration, by whom, when, from what to what, and why."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from metering import moments
from metering.histories import (
    ChangePage,
    History,
    Place,
    Wanted,
    histories,
    page_of_changes,
)
from metering.history_names import names_of

from .history_links import PAGE
from .history_words import page_url, shown
from .paging import PATIENCE
from .row_ids import id_from
from .undoing import undoable

MAX_PEOPLE = 200
_QUERY_CANCELED = "57014"
_FILTERS = ("what", "who", "from", "until", "q", "of", "id")


def seen_by(user: Any) -> list[History]:
    """The histories of what a person may look at."""
    return [history for history in histories() if user.has_perm(history.view_right)]


def may_see_history(request: HttpRequest) -> bool:
    return bool(seen_by(request.user))


def history_page(request: HttpRequest) -> HttpResponse:
    """The changes asked for, newest first; 50 a page, by place."""
    seen = seen_by(request.user)
    if not seen:
        raise PermissionDenied
    asked = {name: request.GET.get(name, "").replace("\x00", "").strip() for name in _FILTERS}
    among = [history for history in seen if asked["what"] in ("", history.key)]
    object_id = id_from(asked["id"])
    if asked["of"]:
        among = [history for history in among if history.page_model._meta.label_lower == asked["of"]]
    wanted = Wanted(
        actor=asked["who"],
        start=_day(request, asked["from"]),
        end=_day(request, asked["until"], is_last=True),
        page_id=object_id if asked["of"] else None,
        search=asked["q"],
    )
    page = _page(request, among, wanted, Place.from_text(request.GET.get("place")))
    names = names_of(page.rows)
    open_to_undo = undoable(request.user, page.rows)
    object_name, object_url = _object(seen, asked["of"], object_id)
    kept = {name: value for name, value in asked.items() if value}
    context = {
        **admin.site.each_context(request),
        "title": _("History of changes"),
        "changes": [
            shown(row, names, can_be_put_back=(row.history.key, row.change_id) in open_to_undo)
            for row in page.rows
        ],
        "asked": asked,
        "is_narrowed": bool(kept),
        "kinds": sorted(((one.key, capfirst(str(one.words))) for one in seen), key=lambda pair: pair[1]),
        "people": _people(request.user),
        "object_name": object_name,
        "object_url": object_url,
        "newer_url": f"?{urlencode({**kept, 'place': str(page.newer)})}" if page.newer else "",
        "older_url": f"?{urlencode({**kept, 'place': str(page.older)})}" if page.older else "",
        "everything_url": reverse(PAGE),
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "admin/history.html", context)


def _page(request: HttpRequest, among: Sequence[History], wanted: Wanted, place: Place | None) -> ChangePage:
    """No query longer than `PATIENCE`: staff narrow it down instead of queueing up."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
            return page_of_changes(among, wanted, place=place)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _QUERY_CANCELED:
            raise
    messages.error(request, _("That would take too long. Narrow it down by the filters."))
    return ChangePage()


def _day(request: HttpRequest, text: str, *, is_last: bool = False) -> dt.datetime | None:
    """The start of a day, in UTC; with `is_last` its end."""
    if not text:
        return None
    try:
        day = moments.day_from(text)
        day += dt.timedelta(days=1 if is_last else 0)
    except (ValueError, OverflowError):
        said = _("“%(text)s” is no day; write it like %(day)s.")
        messages.error(request, said % {"text": text[:40], "day": moments.example_day()})
        return None
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


def _people(user: Any) -> list[str]:
    """Suggestions for "by whom", for those who may know who signs in. Keys are found by their name."""
    if not user.has_perm("auth.view_user"):
        return []
    users: Any = get_user_model().objects
    names = users.filter(is_staff=True).order_by("username").values_list("username", flat=True)
    return list(names[:MAX_PEOPLE])


def _object(seen: Sequence[History], of: str, object_id: int | None) -> tuple[str, str]:
    """What the page is narrowed down to, in words, and its own page; empty where it isn't, or is gone."""
    found = next((one for one in seen if one.page_model._meta.label_lower == of), None)
    if found is None:
        return "", ""
    words = capfirst(str(found.page_model._meta.verbose_name))
    row = found.page_model._default_manager.select_related().filter(pk=object_id).first()
    if row is None:
        return f"{words} #{object_id}", ""
    return f"{words} {row}", page_url(found.page_model, row.pk)
