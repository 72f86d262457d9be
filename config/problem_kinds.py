"""What a kind of problem means: at the address that the `type` of each problem document names."""

from collections.abc import Iterator
from functools import cache
from inspect import getdoc
from typing import TypeVar

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework import exceptions

from .problems import STATUS_OF_CODE, STATUS_OF_KIND, TITLES

Kind = TypeVar("Kind", bound=Exception)

# What no class of errors stands for, or none but one of several meanings.
_PLAIN: dict[str, tuple[int, str]] = {
    "not_found": (404, "Nothing is at this address, or the key doesn't see it."),
    "malformed_request": (400, "The request can't be read: its body isn't what its headers announce."),
    "invalid_field": (422, "A member or parameter doesn't hold what it may hold; `errors` names it."),
    "missing_field": (422, "A member that is needed is absent; `errors` names it."),
    "invalid": (422, "A member or parameter doesn't hold what it may hold; `errors` names it."),
    "conflict": (409, "The request contradicts what is there: an id with other content, a state, a rival."),
    "permission_denied": (403, "The key, or the member of staff, lacks the permission for this."),
    "payload_too_large": (413, "The body, or what a compressed one unfolds to, is larger than is taken."),
    "batch_too_large": (413, "More at once than one request may carry."),
    "length_required": (411, "The body's length isn't announced."),
    "internal_error": (500, "Something failed on our side; it has been logged."),
    "unavailable": (503, "What an answer needs can't be asked now; the same request may succeed later."),
    "refused": (429, "A limit refuses this; nothing was recorded."),
}


@require_safe
def explained(request: HttpRequest, kind: str) -> JsonResponse:
    found = kinds().get(kind)
    if found is None:
        raise Http404
    status, meaning = found
    return JsonResponse(
        {"type": request.path, "title": TITLES.get(status, "Error"), "status": status, "meaning": meaning}
    )


@cache
def kinds() -> dict[str, tuple[int, str]]:
    """Status and meaning by the last part of `type`."""
    named = {code: (status, meaning) for code, status, meaning in _of_classes()} | _PLAIN
    return {code.replace("_", "-"): known for code, known in named.items()}


def _of_classes() -> Iterator[tuple[str, int, str]]:
    for refusal in _below(exceptions.APIException):
        yield str(refusal.default_code), refusal.status_code, str(refusal.default_detail)
    for kind, status in STATUS_OF_KIND.items():
        for error in _below(kind):
            meaning = (getdoc(error) or "").partition("\n\n")[0].replace("\n", " ")
            yield error.code, STATUS_OF_CODE.get(error.code, status), meaning


def _below(error: type[Kind]) -> Iterator[type[Kind]]:
    for each in error.__subclasses__():
        yield each
        yield from _below(each)
