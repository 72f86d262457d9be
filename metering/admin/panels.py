"""Cards that other apps add to pages of the kernel; settings name them, so that the kernel imports none."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from metering.clock import database_now


@dataclass(frozen=True, slots=True)
class Panel:
    """One card of a page. `url` leads to all of what it shows a part of; a wide one takes the whole row."""

    title: Any
    body: SafeString
    url: str = ""
    link_text: Any = ""
    is_wide: bool = False


class PanelSource(Protocol):
    """Makes the card for whoever asks. None: not for this person, or there is nothing to say."""

    def __call__(self, request: HttpRequest, subject: Any) -> Panel | None: ...


def panels_of(page: str, request: HttpRequest, subject: Any = None) -> list[Panel]:
    """The cards of `page` (a key of ADMIN_PANELS) about `subject`, a row or None, in the setting's order."""
    sources: list[PanelSource] = [import_string(name) for name in settings.ADMIN_PANELS.get(page, ())]
    made = (source(request, subject) for source in sources)
    return [panel for panel in made if panel is not None]


def panel_body(template: str, request: HttpRequest, context: Mapping[str, Any]) -> SafeString:
    """What stands in a card."""
    return render_to_string(template, dict(context), request)


def remember_instant(request: HttpRequest, instant: dt.datetime) -> None:
    """Let `asked_at` answer with an instant that the database has just told."""
    request.__dict__["asked_at"] = instant.astimezone(dt.UTC)


def asked_at(request: HttpRequest) -> dt.datetime:
    """The instant, by the database's clock, that a page and its cards are about: asked once a request."""
    facts = request.__dict__
    if "asked_at" not in facts:
        facts["asked_at"] = database_now()
    instant: dt.datetime = facts["asked_at"]
    return instant
