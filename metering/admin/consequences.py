"""A second step before a form is saved that changes money or limits at once: what follows, in sentences."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from .base import BACK_TO_FORM, EditableAdmin

SEEN = "_consequences_seen"
_OWN = ("csrfmiddlewaretoken", SEEN, BACK_TO_FORM)


@dataclass(frozen=True, slots=True)
class Consequence:
    """What saving does at once. `key` says which it is: its `words` may tell other numbers a moment later."""

    key: str
    words: Any


class _NotSeenYet(Exception):
    """Raised before anything is written, and caught by the view around it."""

    def __init__(self, found: Sequence[Consequence], form: Any) -> None:
        super().__init__()
        self.found, self.form = found, form


class ConsequencesFirst(EditableAdmin):
    """A form whose consequences are shown before it is saved, where it has any.

    They are worked out anew when it is confirmed: one that nobody has been shown, or that was shown of other
    input, is shown first. What was typed travels with the page; the session keeps nothing.
    """

    confirm_title: Any = _("This holds at once")

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        """What saving the valid form does at once; nothing where it may be saved without asking."""
        raise NotImplementedError

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        found = self.consequences(request, form, change=change)
        input_digest, *seen = request.POST.get(SEEN, "").split(" ")
        if input_digest != _digest(_kept(request)):
            seen = []
        if any(one.key not in seen for one in found):
            raise _NotSeenYet(found, form)
        return super().save_form(request, form, change)

    def _changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._changeform_view(request, *args, **kwargs)
        except _NotSeenYet as asked:
            return self._ask(request, asked.found, asked.form)

    def _ask(self, request: HttpRequest, found: Sequence[Consequence], form: Any) -> TemplateResponse:
        row = form.instance if form.instance.pk else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": self.confirm_title,
            "kind": self.opts.verbose_name,
            "original": None,
            "name": "" if row is None else str(self.get_queryset(request).get(pk=row.pk)),
            "sentences": [one.words for one in found],
            "kept": _kept(request),
            "seen": " ".join([_digest(_kept(request)), *(one.key for one in found)]),
            "seen_name": SEEN,
            "back_name": BACK_TO_FORM,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/consequences.html", context)


def _kept(request: HttpRequest) -> list[tuple[str, str]]:
    """What was typed."""
    return [(name, value) for name, values in request.POST.lists() if name not in _OWN for value in values]


def _digest(kept: Sequence[tuple[str, str]]) -> str:
    """The same whether or not a browser has written the ends of lines anew."""
    plain = sorted((name, value.replace("\r\n", "\n")) for name, value in kept)
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()
