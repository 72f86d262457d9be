"""Who failed to sign in too often waits: what is counted, and the page that says so."""

import datetime as dt
from collections import Counter
from collections.abc import Collection
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext

# An office shares an address, and all of it mistypes; one person doesn't so often.
ADDRESS_PATIENCE = 10


class HouseHandler(AxesDatabaseHandler):
    """Counts the failures of a name from an address, and of an address under any names with more patience.

    A name alone is not locked: whoever knows it could keep its owner out from anywhere.
    """

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        of_name, of_address = (_failures(rows) for rows in self.get_user_attempts(request, credentials))
        return max(of_name, of_address // ADDRESS_PATIENCE)

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Forgets those of the name only: one good account must not buy new guesses at all others."""
        of_name, _of_address = self.filter_user_attempts(request, credentials)
        count, _by_model = of_name.delete()
        return int(count)

    def remove_out_of_limit_failure_logs(self, *, username: str, limit: int | None = None) -> int:
        """Nothing: failures are kept by age, and the original counts a name's rows each time."""
        return 0


def _failures(attempts: "QuerySet[AccessAttempt]") -> int:
    return attempts.aggregate(total=Sum("failures_since_start"))["total"] or 0


def locked_among(addresses: Collection[str | None], *, at: dt.datetime) -> set[tuple[str | None, str | None]]:
    """Of the names that failed from these addresses, the (name, address) that may not try now."""
    counting = AccessAttempt.objects.filter(ip_address__in=addresses, attempt_time__gte=at - _patience())
    sums = counting.values_list("username", "ip_address").annotate(total=Sum("failures_since_start"))
    of_address: Counter[str | None] = Counter()
    for _name, address, total in sums:
        of_address[address] += total
    return {
        (name, address)
        for name, address, total in sums
        if max(total, of_address[address] // ADDRESS_PATIENCE) >= settings.SIGN_IN_FAILURES
    }


def ends_at(attempt: AccessAttempt) -> dt.datetime:
    """When these failures stop counting."""
    return attempt.attempt_time + _patience()


def lift_lock(username: str | None, address: str | None, *, at: dt.datetime) -> None:
    """Forget the failures of the name from the address; of the whole address where that is locked itself."""
    of_address = AccessAttempt.objects.filter(ip_address=address)
    counting = _failures(of_address.filter(attempt_time__gte=at - _patience()))
    if counting // ADDRESS_PATIENCE < settings.SIGN_IN_FAILURES:
        of_address = of_address.filter(username=username)
    of_address.delete()


def _patience() -> dt.timedelta:
    return dt.timedelta(minutes=settings.SIGN_IN_LOCK_MINUTES)


def locked_page(
    request: HttpRequest, response: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """The same answer for names that exist and names that don't."""
    context = {
        **admin.site.each_context(request),
        "title": gettext("Locked for a while"),
        "minutes": settings.SIGN_IN_LOCK_MINUTES,
        "contact": settings.SIGN_IN_CONTACT,
    }
    page = TemplateResponse(request, "admin/sign_in/locked.html", context, status=429)
    page["Retry-After"] = str(settings.SIGN_IN_LOCK_MINUTES * 60)
    add_never_cache_headers(page)
    return page.render()
