"""Making plans, changing drafts, publishing, cloning and archiving. The only writers of plans and prices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now

from billing.errors import PlanIsFixed
from billing.models import MAX_INTERVAL_COUNT, Plan, Price
from billing.money import SCALES
from metering.errors import Conflict, Invalid, NotFound
from metering.locks import hold_tree
from metering.models import Project

from .price_lists import PriceDraft, draft_of, ensure_sound

ONE_DRAFT = "plan_with_one_draft"
WORDING_FIELDS = ("name", "description")
TERM_FIELDS = ("currency", "interval", "interval_count")
DRAFT_FIELDS = (*WORDING_FIELDS, *TERM_FIELDS)


def define_plan(
    *,
    key: str,
    name: str,
    currency: str,
    interval: str = Plan.Interval.MONTH,
    interval_count: int = 1,
    description: str = "",
    project: Project | None = None,
    prices: Sequence[PriceDraft] = (),
) -> Plan:
    """The first version of a plan, as a draft.

    Raises `Invalid` that names the field, down to `prices[1].price.model`, and `Conflict` when the key is
    taken by an ancestor or descendant of the owner, by a global plan, or by the owner himself.
    """
    plan = Plan(
        project=project,
        key=key,
        version=1,
        name=name.strip() or key,
        description=description,
        currency=currency.upper(),
        interval=interval,
        interval_count=interval_count,
    )
    _ensure_sound(plan)
    ensure_sound(prices, plan=plan)
    with transaction.atomic():
        _take_key(plan)
        plan.save(force_insert=True)
        _store(plan, prices)
    plan.refresh_from_db()
    return plan


def change_draft(
    plan: Plan, changes: Mapping[str, Any], *, prices: Sequence[PriceDraft] | None = None
) -> Plan:
    """Change a draft's fields; `prices`, where given, are all it has from now on, in that order.

    Raises `Invalid`, `PlanIsFixed` for one that was published, and `NotFound` once removed.
    """
    unknown = sorted(set(changes) - set(DRAFT_FIELDS))
    if unknown:
        raise Invalid("'{unknown}' can't be changed.", unknown=unknown[0], field=unknown[0])
    with _held_draft(plan) as stored:
        for name, value in changes.items():
            setattr(stored, name, value)
        stored.currency = stored.currency.upper()
        _ensure_sound(stored)
        if prices is not None:
            ensure_sound(prices, plan=stored)
            _store(stored, prices)
        stored.save(update_fields=DRAFT_FIELDS)
    plan.refresh_from_db()
    return plan


def change_prices(plan: Plan, change: Callable[[list[PriceDraft]], Sequence[PriceDraft]]) -> Plan:
    """Change a draft's prices from what they are at this moment. Raises as `change_draft`."""
    with _held_draft(plan) as stored:
        prices = change([draft_of(price) for price in stored.prices.select_related("metric__project")])
        ensure_sound(prices, plan=stored)
        _store(stored, prices)
    return plan


def publish_plan(plan: Plan) -> Plan:
    """Fix a draft for ever and let accounts subscribe to it. Publishing again changes nothing.

    Raises `Invalid` for a plan without prices and for one whose metrics were archived meanwhile, `Conflict`
    for an archived one, and `NotFound` once removed.
    """
    with transaction.atomic():
        stored = _held(plan)
        if stored.state == Plan.State.ARCHIVED:
            raise Conflict("The plan is archived; clone it to sell it again.", field="state")
        if stored.is_draft:
            prices = [draft_of(price) for price in stored.prices.select_related("metric__project")]
            if not prices:
                raise Invalid("A plan needs at least one price before it is published.", field="prices")
            ensure_sound(prices, plan=stored)
            Plan.objects.filter(pk=plan.pk).update(state=Plan.State.PUBLISHED, published_at=Now())
    plan.refresh_from_db()
    return plan


def clone_plan(plan: Plan, *, key: str | None = None, name: str | None = None) -> Plan:
    """A draft with the same prices: the next version of the plan, or with another `key` a plan of its own.

    Raises `Conflict` when the plan has a draft already, or the key is taken, and `Invalid` for a bad key.
    """
    source = Plan.objects.select_related("project").get(pk=plan.pk)
    is_version = key is None or key == source.key
    clone = Plan(project=source.project, key=key or source.key, version=1)
    for field in DRAFT_FIELDS:
        setattr(clone, field, getattr(source, field))
    if name is not None:
        clone.name = name.strip()
    _ensure_sound(clone)
    with transaction.atomic():
        if is_version:
            hold_tree()
            versions = Plan.objects.filter(project=source.project, key=source.key)
            clone.version = (versions.aggregate(last=Max("version"))["last"] or 0) + 1
        else:
            _take_key(clone)
        try:
            with transaction.atomic():
                clone.save(force_insert=True)
        except IntegrityError as error:
            if constraint_of(error) != ONE_DRAFT:
                raise
            raise Conflict(
                "'{key}' has a draft already; publish or remove that one first.", key=clone.key, field="key"
            ) from None
        _store(clone, [draft_of(price) for price in source.prices.select_related("metric__project")])
    clone.refresh_from_db()
    return clone


def archive_plan(plan: Plan) -> Plan:
    """Sell a published version no more; who is on it stays. Archiving again changes nothing.

    Raises `Conflict` for a draft, which can be removed instead.
    """
    with transaction.atomic():
        stored = _held(plan)
        if stored.is_draft:
            raise Conflict("A draft isn't archived; remove it.", field="state")
        if stored.is_published:
            Plan.objects.filter(pk=plan.pk).update(state=Plan.State.ARCHIVED, archived_at=Now())
    plan.refresh_from_db()
    return plan


def remove_draft(plan: Plan) -> None:
    """Drop a draft with its prices. Raises `PlanIsFixed` for what was published, `NotFound` once removed."""
    with _held_draft(plan) as stored:
        stored.prices.all().delete()
        stored.delete()


def constraint_of(error: IntegrityError) -> str | None:
    """The name of the constraint that the database refused by."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def _held(plan: Plan) -> Plan:
    stored = Plan.objects.select_for_update(of=("self",)).select_related("project").filter(pk=plan.pk).first()
    if stored is None:
        raise NotFound("The draft of '{key}' was removed.", key=plan.key)
    return stored


@contextmanager
def _held_draft(plan: Plan) -> Iterator[Plan]:
    """A transaction in which the draft's row is ours. Raises `PlanIsFixed`, `NotFound`."""
    with transaction.atomic():
        stored = _held(plan)
        if not stored.is_draft:
            raise PlanIsFixed(stored)
        yield stored


def _store(plan: Plan, prices: Sequence[PriceDraft]) -> None:
    """Make these the plan's prices, in this order, writing what differs."""
    rows = list(plan.prices.order_by("position"))
    for position, draft in enumerate(prices):
        columns = draft.columns()
        if position < len(rows):
            row = rows[position]
            for name, value in columns.items():
                setattr(row, name, value)
            row.position = position
            row.save()
        else:
            Price.objects.create(plan=plan, position=position, **columns)
    Price.objects.filter(pk__in=[row.pk for row in rows[len(prices) :]]).delete()


def _take_key(plan: Plan) -> None:
    """Until the transaction ends, nobody else takes a key of a plan. Raises `Conflict` where it is taken.

    Like a metric's, it is unique along every path of the tree: a project never sees two plans of one key.
    """
    hold_tree()
    path = plan.project.path if plan.project else ""
    for other in Plan.objects.filter(key=plan.key).select_related("project"):
        other_path = other.project.path if other.project else ""
        if path.startswith(other_path) or other_path.startswith(path):
            raise Conflict(
                "There is a plan '{key}' along this branch of the tree already; clone it for another"
                " version.",
                key=plan.key,
                field="key",
            )


def _ensure_sound(plan: Plan) -> None:
    """Each rule of a plan's own fields. Raises `Invalid`."""
    for name in ("key", "name", "description"):
        if "\x00" in getattr(plan, name):
            raise Invalid("Holds a NUL character.", field=name)
    if not plan.name.strip():
        raise Invalid("A plan needs a name.", field="name")
    if plan.currency not in SCALES:
        raise Invalid("Must be a currency code of ISO 4217, such as USD.", field="currency")
    if isinstance(plan.interval_count, bool) or not isinstance(plan.interval_count, int):
        raise Invalid("Must be a whole number.", field="interval_count")
    if not 1 <= plan.interval_count <= MAX_INTERVAL_COUNT:
        raise Invalid("Must be from 1 to {most}.", most=MAX_INTERVAL_COUNT, field="interval_count")
    try:
        plan.clean_fields(exclude=["project"])
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(messages[0], field=field) from None
