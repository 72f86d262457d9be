"""How people work on any page of the admin, in the words that stand on it."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect


def field(page: Page, label: str) -> Locator:
    """The input of exactly that label, required or not."""
    return page.get_by_label(re.compile(rf"^\s*{re.escape(label)}\s*\*?\s*$"))


def pick(page: Page, label: str, option: str) -> None:
    """Choose from a list that is searched: open it, type, take what is offered."""
    shown = page.get_by_role("combobox", name=re.compile(rf"^\s*{re.escape(label)}\s*\*?"))
    shown.and_(page.locator(".select2-selection")).click()  # not the select that it is about to replace
    search = page.locator(".select2-container--open").get_by_role("searchbox")
    search.fill(option)
    page.locator(".select2-results__option:not(.loading-results)").filter(has_text=option).first.click()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def expect_told(page: Page, words: str) -> None:
    """What the page says happened."""
    expect(page.get_by_role("status").filter(has_text=words).first).to_be_visible()


def fact(page: Page, name: str) -> Locator:
    """The value beside a heading of a row."""
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))
    return row.get_by_role("cell")


def downloaded(page: Page, link: Locator) -> tuple[str, str]:
    """Name and text of the file that a click brings."""
    with page.expect_download() as waiting:
        link.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text(encoding="utf-8-sig")
