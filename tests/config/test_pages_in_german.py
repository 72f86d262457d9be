"""Every page of the admin in German: no word is asked for that German has no translation of."""

import logging
import sys
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from django.utils.translation import trans_real

from config import error_pages
from config.message_catalogues import compiled
from metering.clock import ledger_end
from metering.models import Fence

from .admin_world import a_whole_world, pages

pytestmark = pytest.mark.django_db

HOME = "/admin/"
# Words of other packages that have no German, and names of languages, which each language writes itself.
NOT_OURS = {
    "Deutsch",
    "Français",
    "Disabled",
    "Password-based authentication",
    "Select value",
}
NOT_OURS_BEGIN = ("Cron ", "Whether the user will be able to authenticate", "Darf ")
# Ends the walker's own session.
NOT_WALKED = {"logout"}


class Asked:
    """Stands behind the German catalogue: what it lacks is asked for here, and answered in English."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    def gettext(self, message: str) -> str:
        self.missing.add(message)
        return message

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        self.missing.add(singular)
        return singular if count == 1 else plural


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    compiled("de")
    trans_real._translations.pop("de", None)
    asked = Asked()
    monkeypatch.setattr(trans_real.translation("de"), "_fallback", asked)
    yield asked
    trans_real._translations.pop("de", None)


def test_no_page_asks_for_a_word_that_german_lacks(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_light(monkeypatch)
    a_whole_world()
    client = Client(HTTP_ACCEPT_LANGUAGE="de", raise_request_exception=False)
    client.force_login(User.objects.get(username="root"))

    for page in pages():
        if page.name not in NOT_WALKED:
            with transaction.atomic():
                client.get(page.url)
                transaction.set_rollback(True)

    missing = {one for one in asked.missing - NOT_OURS if not one.startswith(NOT_OURS_BEGIN)}
    assert not missing, "Not translated:\n" + "\n".join(sorted(missing))


def _make_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for fences, no frames around refusals, and the sidebar once: it is the same everywhere."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("metering.", "quotas.", "billing.")) and hasattr(module, "raise_fence"):
            monkeypatch.setattr(module, "raise_fence", _a_fence)
    monkeypatch.setattr(error_pages, "_framed", lambda request, status, *_: HttpResponse(status=status))
    sidebar = admin.site.get_sidebar_list
    monkeypatch.setattr(
        admin.site, "get_sidebar_list", lambda request: sidebar(request) if request.path == HOME else []
    )
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)


def _a_fence(**_: object) -> Fence:
    """The real one would wait for this very transaction."""
    return Fence(position=ledger_end(), fenced_at=timezone.now())
