"""What a fresh installation lacks, in the order in which it is needed; apps add lists of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from metering.models import ApiKey, MetricDefinition, Project


@dataclass(frozen=True, slots=True)
class Step:
    title: Any
    text: Any
    url: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """A way from nothing to the first chart, or the first invoice."""

    title: Any
    lead: Any
    steps: Sequence[Step]

    @property
    def upcoming(self) -> Step | None:
        return next((step for step in self.steps if not step.is_done), None)

    @property
    def done_count(self) -> int:
        return sum(step.is_done for step in self.steps)


class StepsSource(Protocol):
    """Makes the list for whoever asks. None: not for this person, or it has been walked to its end."""

    def __call__(self, request: HttpRequest) -> FirstSteps | None: ...


def first_steps(request: HttpRequest) -> list[FirstSteps]:
    """The lists that aren't walked to their end, in the order of ADMIN_FIRST_STEPS."""
    sources: list[StepsSource] = [import_string(name) for name in settings.ADMIN_FIRST_STEPS]
    made = (source(request) for source in sources)
    return [steps for steps in made if steps is not None]


def measuring_steps(request: HttpRequest) -> FirstSteps | None:
    """To the first usage, for those who may add one of what it takes."""
    rights = ("metering.add_project", "metering.add_metricdefinition", "metering.add_apikey")
    if not any(request.user.has_perm(right) for right in rights):
        return None
    has_project, has_metric, has_key = _exist(Project, MetricDefinition, ApiKey)
    if has_project and has_metric and has_key:
        return None
    return FirstSteps(
        _("Nothing is measured yet") if not (has_project or has_metric) else _("Almost ready to measure"),
        _("Three steps lead to the first chart:"),
        [
            Step(
                _("Add a project"),
                _("For whoever uses your service."),
                reverse("admin:metering_project_add"),
                has_project,
            ),
            Step(
                _("Define a metric"),
                _("It says what is measured: requests, tokens, seats."),
                reverse("admin:metering_metricdefinition_add"),
                has_metric,
            ),
            Step(
                _("Make an API key"),
                _("Then send usage to POST /api/v1/usage-events/."),
                reverse("admin:metering_apikey_add"),
                has_key,
            ),
        ],
    )


def _exist(*models: type[Model]) -> Sequence[bool]:
    """Whether each of the tables has a row; one statement."""
    tables = (f"EXISTS (SELECT FROM {connection.ops.quote_name(model._meta.db_table)})" for model in models)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(tables)}")
        return tuple(cursor.fetchone())
