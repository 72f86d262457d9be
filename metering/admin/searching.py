"""Search everywhere: one text, asked of every kind of thing; settings name the kinds, so apps add theirs."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from metering.models import ApiKey

LONGEST_TEXT = 400  # a project's key and an event's id with a space between fit; names are shorter
_UNSEEN = {"Cc", "Cf", "Cs"}  # control characters, marks without width, halves of characters


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody typed, and how many of each kind are wanted."""

    text: str
    most: int

    @classmethod
    def from_text(cls, raw: str, *, most: int) -> "Asked":
        """Single spaces, no secret of a pasted key, nothing that can't be seen: tabs, nulls, soft hyphens."""
        spaced = "".join(" " if letter.isspace() else letter for letter in raw)
        visible = "".join(letter for letter in spaced if unicodedata.category(letter) not in _UNSEEN)
        return cls(" ".join(ApiKey.without_secret(word) for word in visible.split()), most)

    @property
    def words(self) -> list[str]:
        return self.text.split()

    @property
    def is_too_long(self) -> bool:
        return len(self.text) > LONGEST_TEXT

    def marked(self, text: str) -> SafeString:
        """`text` for a page, the parts that match marked."""
        anything = "|".join(re.escape(word) for word in sorted(self.words, key=len, reverse=True))
        if not anything:
            return format_html("{}", text)
        pieces = re.split(f"({anything})", text, flags=re.IGNORECASE)
        # Split by one group, what matched stands at the odd places.
        return format_html_join(
            "",
            "{}",
            (
                (format_html("<mark>{}</mark>", piece) if place % 2 else piece,)
                for place, piece in enumerate(pieces)
            ),
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found. An exact one is what the text names: by id, number, key or whole name."""

    title: str
    url: str
    detail: str = ""
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one kind. `all_url` leads to all of it where `is_cut`."""

    title: Any
    icon: str
    hits: Sequence[Hit]
    is_cut: bool = False
    all_url: str = ""

    @property
    def has_exact(self) -> bool:
        return any(hit.is_exact for hit in self.hits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Looks for one kind of thing: rows of `model`, or what is seen by who may see its list.

    `by` says in words what it is found by, `example` shows it; both stand on the page while nothing is asked.
    `kind` is what the things are called, if not as their model is.
    """

    model: str
    icon: str
    by: Any
    example: Any
    kind: Any = None

    @property
    def pages(self) -> Any:
        return admin.site.get_model_admin(apps.get_model(self.model))

    @property
    def title(self) -> Any:
        return capfirst(self.kind or self.pages.opts.verbose_name_plural)

    def is_for(self, request: HttpRequest) -> bool:
        return bool(self.pages.has_view_permission(request))

    def look(self, request: HttpRequest, asked: Asked) -> Sequence[Hit]:
        """The best hits, one more than are wanted where there are more."""
        raise NotImplementedError

    def all_url(self, asked: Asked) -> str:
        """Where all that match are listed; empty where no list can show just those."""
        return f"{self.address('changelist')}?{urlencode({'q': asked.text})}"

    def address(self, page: str, *args: object) -> str:
        opts = self.pages.opts
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=args)

    def found(self, request: HttpRequest, asked: Asked) -> Found:
        hits = self.look(request, asked)
        is_cut = len(hits) > asked.most
        return Found(self.title, self.icon, hits[: asked.most], is_cut, self.all_url(asked) if is_cut else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSearch(Search):
    """Rows of one model as its list in the admin finds them, exact ones first.

    `exact` says which rows the whole text names; `matching` is asked instead of the list's own search where
    that looks for more than the rows themselves, and says None where no row can have such a name; `ordering`
    is among what matches equally well.
    """

    row_title: Callable[[Any], str]
    row_detail: Callable[[Any], str]
    exact: Callable[[str], Q]
    ordering: Sequence[str]
    related: Sequence[str] = ()
    matching: Callable[[str], Q | None] | None = None

    def look(self, request: HttpRequest, asked: Asked) -> Sequence[Hit]:
        is_exact = ExpressionWrapper(self.exact(asked.text), output_field=BooleanField())
        matching = self._matching(request, asked.text).annotate(is_exact_match=is_exact)
        best = matching.order_by(F("is_exact_match").desc(nulls_last=True), *self.ordering)
        rows = best.select_related(*self.related) if self.related else best
        return [
            Hit(
                title=self.row_title(row),
                url=self.address("change", row.pk),
                detail=self.row_detail(row),
                is_exact=bool(row.is_exact_match),
            )
            for row in rows[: asked.most + 1]
        ]

    def _matching(self, request: HttpRequest, text: str) -> QuerySet:
        rows = self.pages.get_queryset(request).select_related(None).prefetch_related(None)
        if self.matching is not None:
            named = self.matching(text)
            return rows.none() if named is None else rows.filter(named)
        found, _may_repeat = self.pages.get_search_results(request, rows, text)
        return found


def searches_for(request: HttpRequest) -> list[Search]:
    """The searches of ADMIN_SEARCHES that are for this person, in the setting's order."""
    searches: list[Search] = [import_string(name) for name in settings.ADMIN_SEARCHES]
    return [search for search in searches if search.is_for(request)]


def found_everywhere(request: HttpRequest, asked: Asked) -> list[Found]:
    """What the person's searches found, kinds with exact hits first, else in the setting's order.

    Nothing for a text that is empty or longer than anything has a name.
    """
    if not asked.text or asked.is_too_long:
        return []
    answers = (search.found(request, asked) for search in searches_for(request))
    return sorted((answer for answer in answers if answer.hits), key=lambda one: not one.has_exact)


def the_one_meant(found: Sequence[Found]) -> Hit | None:
    """The only exact hit there is. None where there is none, or the text names several things."""
    exact = [hit for one in found for hit in one.hits if hit.is_exact]
    return exact[0] if len(exact) == 1 else None
