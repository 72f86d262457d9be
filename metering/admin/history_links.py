"""The way from a row's page to its history."""

from django.db import models
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from metering.histories import histories_on_page_of

PAGE = "history_of_changes"
PUT_BACK = "put_back"


def is_followed(model: type[models.Model]) -> bool:
    """Whether changes of its rows are kept."""
    return any(history.tracked is model._meta.concrete_model for history in histories_on_page_of(model))


def history_of(row_model: type[models.Model], object_id: str) -> HttpResponse | None:
    """To the history of what stands on a page; None where nothing is kept of such rows."""
    if not histories_on_page_of(row_model):
        return None
    label = row_model._meta.label_lower
    return HttpResponseRedirect(f"{reverse(PAGE)}?{urlencode({'of': label, 'id': object_id})}")


def put_back_url(kind: str, change_id: int) -> str:
    """The page of one change, where it is put back as it was."""
    return reverse(PUT_BACK, args=[kind, change_id])
