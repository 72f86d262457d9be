"""Every edge says who comes through it, so that the histories of configuration can."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from metering.accountability import changed_by

_READS = ("GET", "HEAD", "OPTIONS")


def by_key(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Changes by a request are those of the API, which names the holder of the key itself."""

    def answered(request: HttpRequest) -> HttpResponse:
        if request.method in _READS:
            return get_response(request)
        with changed_by("", through="API"):
            return get_response(request)

    return answered


class AccountabilityMiddleware:
    """Changes by a request are those of whoever signed in; the API names the holder of a key itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._by_key = by_key(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in _READS:
            return self._get_response(request)
        if not request.path.startswith(reverse("admin:index")):
            return self._by_key(request)
        with changed_by(request.user.get_username(), through="admin"):
            return self._get_response(request)


class AccountableTask(Task):
    """A job of the schedule: nobody's but its own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with changed_by("", through=f"task {self.name}"):
            return super().__call__(*args, **kwargs)


@contextmanager
def run_by_hand(command: str) -> Iterator[None]:
    """A management command: of the person who has the shell, as the machine knows them."""
    try:
        person = getpass.getuser()
    except (OSError, KeyError):  # a number without a name, as containers have it
        person = ""
    with changed_by(person, through=f"manage.py {command}"):
        yield
