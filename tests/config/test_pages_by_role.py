"""Every page of the admin, walked by every role: who gets in, what they can change, what they are offered.

The list of pages is the router's own, so that a new page is walked from its first day. It fails here until
`admin_world.py` knows what to put into its address, and `pages_by_role.txt` says whom it opens for.
"""

import difflib
import html
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils import timezone

from config import error_pages
from metering import catalogue
from metering.clock import ledger_end
from metering.models import Fence
from metering.roles import Role
from quotas.notebook import NOTEBOOK, Notebook

from .admin_world import Page, a_whole_world, pages

pytestmark = pytest.mark.django_db

TABLE = Path(__file__).with_name("pages_by_role.txt")
HOME = "/admin/"
NOBODY, ROOT = "nobody", "root"
ROLES = [role.value.lower() for role in Role]
# What everybody on the staff has of their own, and may change.
OWN = {
    "preferences",
    "sign_in",
    "sign_in_code",
    "two_steps",
    "two_steps_begin",
    "two_steps_codes",
    "two_steps_off",
    "two_steps_set_up",
}
# What everybody on the staff may open: that, home, their password, search, and texts of scripts.
FOR_ALL = OWN | {"index", "jsi18n", "password_change", "password_change_done", "search_everywhere"}
# They would end the walker's own session.
NOT_WALKED = {"logout"}
# What an auditor makes: files.
EXPORTS = {"metering_export_add", "metering_export_cancel", "metering_export_remove"}


@dataclass
class Walk:
    """What one person was answered, by names of routes."""

    shown: dict[str, int] = field(default_factory=dict)
    posted: dict[str, int] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=dict)
    offered: dict[str, set[str]] = field(default_factory=dict)
    narrowed: set[str] = field(default_factory=set)  # links to lists that narrow them down


@dataclass
class House:
    pages: list[Page]
    walks: dict[str, Walk] = field(default_factory=dict)

    def walk(self, name: str) -> Walk:
        """What `name` was answered everywhere; walked once."""
        if name not in self.walks:
            self.walks[name] = _walked(name, self.pages)
        return self.walks[name]


@pytest.fixture(scope="module")
def house(django_db_setup: None, django_db_blocker: Any) -> Iterator[House]:
    """One world for all tests of this file, in a transaction that is taken back at the end."""
    patch = pytest.MonkeyPatch()
    for name, module in list(sys.modules.items()):
        if name.startswith(("metering.", "quotas.", "billing.")) and hasattr(module, "raise_fence"):
            patch.setattr(module, "raise_fence", _a_fence)
    # Most answers are refusals; the frame around them has tests of its own.
    patch.setattr(error_pages, "_framed", lambda request, status, *_: HttpResponse(status=status))
    # The sidebar is the same everywhere: once is enough.
    sidebar = admin.site.get_sidebar_list
    patch.setattr(
        admin.site, "get_sidebar_list", lambda request: sidebar(request) if request.path == HOME else []
    )
    logging.disable(logging.CRITICAL)  # a refusal is logged with its traceback, of which there are hundreds
    # Its thread would take what this transaction says, and write it where none of it is to be seen.
    patch.setattr(Notebook, "_start", lambda self: None)
    catalogue.forget()
    NOTEBOOK.forget()
    with django_db_blocker.unblock(), transaction.atomic():
        a_whole_world()
        yield House(pages())
        transaction.set_rollback(True)
    logging.disable(logging.NOTSET)
    patch.undo()


def _a_fence(**_: object) -> Fence:
    """The real one would wait for this very transaction."""
    return Fence(position=ledger_end(), fenced_at=timezone.now())


def _walked(name: str, every: list[Page]) -> Walk:
    """Looks at every page; sends its form where that was refused, as auditor and superuser always."""
    walk = Walk()
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username=name))
    before = _writes()
    for page in every:
        if page.name in NOT_WALKED:
            continue
        for method in ("get", "post"):
            if method == "post" and walk.shown[page.name] not in {403, 405} and name not in {"auditor", ROOT}:
                continue
            with transaction.atomic():
                response = getattr(client, method)(page.url)
                transaction.set_rollback(True)
            after = _writes()
            changed, before = sorted(each for each in after if after[each] != before.get(each)), after
            answers = walk.shown if method == "get" else walk.posted
            answers[page.name] = response.status_code
            if method == "get":
                walk.offered[page.name] = _offers_of(response)
                walk.narrowed |= _narrowed_lists(response, page.url)
            if changed:
                walk.written[f"{method} {page.name}"] = changed
    return walk


def _writes() -> dict[str, int]:
    """How many rows this transaction wrote by table, also where they were taken back at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables "
            "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND relname <> 'django_session'"
        )
        return dict(cursor.fetchall())


def _offers_of(response: Any) -> set[str]:
    """The routes that a page has links to, those of the sidebar included."""
    if response.streaming or "html" not in response.headers.get("Content-Type", ""):
        return set()
    found = set()
    for address in re.findall(r'<a\b[^>]*?\bhref="(/admin/[^"?#]*)', response.content.decode()):
        try:
            found.add(resolve(address).url_name or address)
        except Resolver404:
            found.add(address)
    return found


def _narrowed_lists(response: Any, at: str) -> set[str]:
    """The links of a page that lead to lists and narrow them down."""
    if response.streaming or "html" not in response.headers.get("Content-Type", ""):
        return set()
    links = re.findall(r'\bhref="((?:/admin/|\?)[^"#]*)', response.content.decode())
    addresses = {urljoin(at, html.unescape(link)) for link in links if "?" in link}
    return {one for one in addresses if _is_list(one.partition("?")[0])}


def _is_list(address: str) -> bool:
    try:
        return (resolve(address).url_name or "").endswith("_changelist")
    except Resolver404:
        return False


@pytest.mark.parametrize("name", [*ROLES, NOBODY, ROOT])
def test_no_page_fails_whoever_asks_or_sends(house: House, name: str) -> None:
    walk = house.walk(name)

    answers = [("get", walk.shown), ("post", walk.posted)]
    failures = [
        f"{method} {page}" for method, each in answers for page, status in each.items() if status >= 500
    ]
    assert failures == []


def test_pages_open_for_those_whom_the_table_names(house: House) -> None:
    found = "".join(
        f"{page:<55}{' '.join(_mark(house.walk(role), page, role) for role in ROLES)}\n"
        for page in sorted(house.walk(ROOT).shown)
        if house.walk(ROOT).shown[page] in {200, 302} and not _is_alias(page)
    )
    known = TABLE.read_text()
    body = known[known.index("\n\n") + 2 :]

    assert "".join(difflib.unified_diff(body.splitlines(True), found.splitlines(True), n=0)) == ""


def _is_alias(page: str) -> bool:
    """A route without a name: the framework's short address of a row, which leads to its page."""
    return "{" in page


def _mark(walk: Walk, page: str, role: str) -> str:
    letter = {"operator": "O", "finance": "F", "approver": "P", "auditor": "A"}[role]
    return letter if walk.shown[page] in {200, 302} else "."


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
def test_what_one_may_not_open_one_can_not_send_either(house: House, name: str) -> None:
    walk = house.walk(name)

    refused = {page for page, status in walk.shown.items() if status == 403}
    assert {page: walk.posted[page] for page in refused if walk.posted[page] not in {403, 405}} == {}
    assert {page for page in refused if f"post {page}" in walk.written} == set()


def test_auditor_reads_every_list_row_and_history(house: House) -> None:
    shown = house.walk("auditor").shown

    reading = {page for page in shown if page.endswith(("_changelist", "_change", "_history"))}
    assert len(reading) > 100
    assert {page: shown[page] for page in reading if shown[page] not in {200, 302}} == {
        "auth_user_password_change": 403,
        "billing_subscription_withdraw_change": 403,
    }


def test_auditor_writes_nothing_but_exports(house: House) -> None:
    walk = house.walk("auditor")

    written = {page for page in walk.written if page.removeprefix("post ") not in EXPORTS | OWN}
    assert {page for page in written if not page.endswith("_as_csv")} == set()
    forms = {page for page in walk.posted if page.endswith(("_add", "_change"))} - FOR_ALL
    assert {page for page in forms if walk.posted[page] not in {302, 403, 404}} == {"metering_export_add"}
    newly_shown = {page for page, status in walk.posted.items() if status == 200 != walk.shown[page]}
    assert newly_shown - FOR_ALL == set()


@pytest.mark.parametrize("name", [*ROLES, NOBODY, ROOT])
def test_looking_writes_nothing(house: House, name: str) -> None:
    walk = house.walk(name)

    assert {page for page in walk.written if page.startswith("get ")} == set()


def test_without_any_right_one_is_let_in_nowhere_but_home(house: House) -> None:
    """A redirect shows nothing by itself; where it leads to is a page of its own here."""
    walk = house.walk(NOBODY)

    assert {page for page, status in walk.shown.items() if status == 200} <= FOR_ALL
    posted = {page for page, status in walk.posted.items() if status not in {403, 404, 405}}
    assert posted <= OWN
    assert {page for page in walk.written if page.removeprefix("post ") not in OWN} == set()


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
def test_no_page_offers_what_would_be_refused(house: House, name: str) -> None:
    walk = house.walk(name)

    vain = {
        page: sorted(offer for offer in offers if walk.shown.get(offer) == 403)
        for page, offers in walk.offered.items()
    }
    assert {page: offers for page, offers in vain.items() if offers} == {}


def test_every_link_that_narrows_a_list_is_understood_by_it(house: House) -> None:
    client = Client()
    client.force_login(User.objects.get(username=ROOT))

    links = house.walk(ROOT).narrowed

    assert len(links) > 100
    assert [link for link in sorted(links) if client.get(link).status_code != 200] == []
