"""Somebody sits before the admin: a real Chromium, a real web server, a real database, and nothing else.

A test takes a seat, signs somebody in and gets their page. Whatever goes wrong beside what the test looks at
fails it all the same: an error on the console, a request that fails, a request to any other machine.
"""

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from tests.browser.people import person
from tests.browser.presence import chromium_path

DESKTOP = {"width": 1280, "height": 900}
PATIENCE = 30_000  # milliseconds, for machines that do much else; nothing waits longer than it must
PICTURES = Path(settings.BASE_DIR) / "var" / "browser"
_LEFT_FOR_ANOTHER_PAGE = "net::ERR_ABORTED"  # also what a download is to the page that it began on


@dataclass
class Seat:
    """Where tests sit down. What went wrong beside the point is in `troubles`."""

    chromium: Browser
    url: str
    contexts: list[BrowserContext] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    expected_status: int | None = None

    def visitor(self, *, viewport: dict[str, int] | None = None) -> Page:
        """Nobody in particular, at the door."""
        context = self.chromium.new_context(
            base_url=self.url, viewport=viewport or DESKTOP, locale="en-GB", timezone_id="Europe/Berlin"
        )
        context.set_default_timeout(PATIENCE)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.troubles.append(f"script: {error.error}"))
        context.on("request", self._see_request)
        context.on("requestfailed", self._see_failure)
        context.on("response", self._see_response)
        self.contexts.append(context)
        page = context.new_page()
        self.pages.append(page)
        return page

    def signed_in(self, *groups: str, viewport: dict[str, int] | None = None) -> Page:
        """Somebody of these groups, past the door; a superuser without a group."""
        page = self.visitor(viewport=viewport)
        self.let_in(page, person(*groups))
        return page

    def let_in(self, page: Page, user: User) -> None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": self.url}])

    def expects(self, status: int) -> None:
        """From now on answers of this status are no trouble: the test looks at them itself."""
        self.expected_status = status

    def _is_expected(self, text: str) -> bool:
        return self.expected_status is not None and f"status of {self.expected_status}" in text

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not self._is_expected(message.text):
            self.troubles.append(f"console: {message.text}")

    def _see_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https"} and parts.netloc != urlsplit(self.url).netloc:
            self.troubles.append(f"request to another machine: {request.url}")

    def _see_failure(self, request: Request) -> None:
        if request.failure != _LEFT_FOR_ANOTHER_PAGE:
            self.troubles.append(f"{request.failure}: {request.url}")

    def _see_response(self, response: Response) -> None:
        if response.status >= 400 and response.status != self.expected_status:
            self.troubles.append(f"status {response.status}: {response.request.method} {response.url}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    # The driver's event loop sleeps while a test talks to the database; Django can't know that.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    # Chromium's sandbox needs an account that isn't root's. Other machines than this one don't exist to it.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    options += ["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"]
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=options)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def seat(chromium: Browser, live_server: LiveServer) -> Iterator[Seat]:
    taken = Seat(chromium, live_server.url)
    yield taken
    for context in taken.contexts:
        context.close()
    assert not taken.troubles, "\n".join(taken.troubles)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, Any, Any]:
    """What a failed test looked at, as a picture that its report names."""
    report = yield
    taken = getattr(item, "funcargs", {}).get("seat")
    if taken is not None and report.when == "call" and report.failed:
        PICTURES.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(taken.pages, start=1):
            path = PICTURES / f"{item.name.replace('/', '-')}-{number}.png"
            page.screenshot(path=path, full_page=True)
            report.sections.append(("Picture", f"{path} ({page.url})"))
    return report
