"""All areas of the work as one table, and rights in plain words."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.utils.module_loading import import_string
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.roles import SEES, Area, Role

_VERBS = {
    "view": _("See %s"),
    "add": _("Add %s"),
    "change": _("Change %s"),
    "delete": _("Remove %s"),
}
# What the names of the framework don't say, because pages ask for the right in another case too.
_WORDS = {
    "metering.add_usageevent": _("Record usage past limits, through the API too"),
    "metering.add_correction": _("Re-attribute past usage to other payers"),
    "metering.change_apikey": _("Rename and revoke API keys"),
    "auth.change_user": _("Change users, and give them any right but a superuser's"),
    "quotas.change_alert": _("Acknowledge alerts"),
    "billing.add_payment": _("Record payments and take them back"),
    "billing.add_invoice": _("Begin invoices and credit notes by hand"),
    "billing.change_invoice": _("Edit drafts of invoices, and discard them"),
    "billing.delete_invoice": _("Discard drafts through the API"),
    "billing.add_subscription": _("Subscribe accounts to plans"),
    "billing.change_subscription": _("Change and cancel subscriptions"),
    "billing.change_plan": _("Edit, publish and archive plans"),
    "billing.change_creditgrant": _("Withdraw credit grants"),
}


@dataclass(frozen=True, slots=True)
class Right:
    """`name` as pages ask for it, such as `billing.issue_invoice`; `words` as staff say it."""

    name: str
    words: str
    is_decision: bool


@cache
def all_areas() -> tuple[Area, ...]:
    """Those of all apps, in the order of the setting."""
    return tuple(area for name in settings.STAFF_ROLES for area in import_string(name))


def rights_of(role: Role) -> frozenset[str]:
    """Every right of the role, as `app.codename`."""
    return frozenset(f"{area.app}.{right}" for area in all_areas() for right in area.rights_of(role))


def roles_with(right: str) -> list[Role]:
    """The roles that hold `app.codename`, in their order."""
    app, _dot, codename = right.partition(".")
    areas = [area for area in all_areas() if area.app == app]
    return [role for role in Role if any(codename in area.rights_of(role) for area in areas)]


def rights_in(area: Area) -> list[Right]:
    """What one may do there in plain words: what one sees, then what one does, then what one decides."""
    rights = [
        Right(f"{area.app}.{name}", words_for(f"{area.app}.{name}"), name in area.decisions)
        for name in area.all_rights
    ]
    return sorted(rights, key=lambda right: (right.is_decision, not _is_view(right.name), right.words))


def words_for(right: str) -> str:
    """`billing.issue_invoice` as "Issue invoices and credit notes"; the bare name where nobody knows it."""
    if right in _WORDS:
        return str(_WORDS[right])
    app, _dot, codename = right.partition(".")
    verb, _underscore, table = codename.partition("_")
    for model in _models_of(app):
        for own, name in model._meta.permissions:
            if own == codename:
                return _without_can(gettext(str(name)))
        if verb in _VERBS and model._meta.model_name == table:
            return str(_VERBS[verb]) % model._meta.verbose_name_plural
    return right


def level_in(area: Area, held: Collection[str]) -> str:
    """How far the rights reach in the area: empty, `sees`, `does` or `decides`."""
    here = {right for right in area.all_rights if f"{area.app}.{right}" in held}
    if here.intersection(area.decisions):
        return "decides"
    if here - area.views:
        return "does"
    return "sees" if here else ""


def level_words(area: Area, level: str) -> str:
    """A cell of the table of roles."""
    does = area.doing or _("Sees and changes")
    words: dict[str, Any] = {"decides": _("Sees and decides"), "does": does, "sees": _("Sees")}
    return str(words.get(level, ""))


def by_area(held: Collection[str]) -> list[tuple[str, list[Right]]]:
    """(title, rights) of each area in which any of the rights lies; what no area knows comes last."""
    found = [
        (str(area.title), [right for right in rights_in(area) if right.name in held]) for area in all_areas()
    ]
    known = {right.name for _title, rights in found for right in rights}
    others = [Right(name, words_for(name), is_decision=False) for name in sorted(set(held) - known)]
    return [(title, rights) for title, rights in [*found, (gettext("Other"), others)] if rights]


def _is_view(name: str) -> bool:
    return name.partition(".")[2].startswith(f"{SEES}_")


def _models_of(app: str) -> Iterable[type[Model]]:
    try:
        return apps.get_app_config(app).get_models()
    except LookupError:
        return ()


def _without_can(name: str) -> str:
    """The framework has names of rights begin with "Can"."""
    return capfirst(name.removeprefix("Can "))
