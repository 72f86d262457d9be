"""What every page must be to people who don't see it, or go through it by keyboard."""

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_AXE = Axe()
_GRAVE = {"serious", "critical"}
# Charts are drawn by a script that the theme brings, each beside its table; what moves is measured at rest.
_AT_REST = "*, *::before, *::after { animation: none !important; transition: none !important; }"
_DRESS = "isDark => document.documentElement.classList.toggle('dark', isDark)"


def findings(page: Page, url: str) -> Iterator[str]:
    """What is wrong with a page, in light and in dark; nothing where it is as it should be."""
    page.goto(url)
    page.add_style_tag(content=_AT_REST)
    yield from _frame(page, url)
    for is_dark in (False, True):
        page.evaluate(_DRESS, is_dark)
        for found in _looked_at(page):
            for node in found["nodes"]:
                look = "dark" if is_dark else "light"
                yield f"{url} ({look}): {found['id']} at {node['target']}: {node['html'][:200]}"


def _looked_at(page: Page) -> list[dict[str, Any]]:
    """Findings of axe-core that keep people out, by its own ranking."""
    violations: list[dict[str, Any]] = _AXE.run(page, options={"resultTypes": ["violations"]}).response[
        "violations"
    ]
    return [each for each in violations if each["impact"] in _GRAVE]


def _frame(page: Page, url: str) -> Iterator[str]:
    """What axe has no opinion on, or not a grave one."""
    if page.title().removesuffix("| Meterbook").strip() == page.title().strip():
        yield f"{url}: its title is {page.title()!r}"
    if not (page.locator("html").get_attribute("lang") or "").startswith("en"):
        yield f"{url}: says no language"
    for landmark in ("h1", "main"):
        if page.locator(landmark).count() != 1:
            yield f"{url}: {page.locator(landmark).count()} times {landmark}"
    icons = page.locator(".material-symbols-outlined:not(button):not([aria-hidden=true])")
    if icons.count():
        yield f"{url}: the name of a symbol is read aloud: {icons.first.inner_text()}"
