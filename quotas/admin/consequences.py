"""What a limit does at once, said before it is set or changed."""

from decimal import Decimal, localcontext
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from metering import moments
from metering.admin import cells
from metering.admin.consequences import Consequence
from metering.texts.numbers import EXACT
from quotas.evaluation import reached_now
from quotas.levels import level_of, limits_in_force, quota_key
from quotas.models import ProjectQuota, UsageThreshold
from quotas.utilisation import Utilisation, utilisations_of

from .crossing_words import subject_words

NAMED_SUBJECTS = 3


def of_quota(before: ProjectQuota | None, after: ProjectQuota) -> list[Consequence]:
    """Of a quota as it will be, saved or not; nothing where nobody is refused sooner than before, and of
    a limit that the verb refuses."""
    return [] if after.limit < 0 else _of_quota(before, after, _standing(after))


def standing_and_consequences(before: ProjectQuota | None, after: ProjectQuota) -> list[str]:
    """What is used of the limit in the period that runs now; then, in words, as `of_quota`."""
    standing = _standing(after)
    words = _("Used in the period that runs now: %(used)s of %(limit)s.") % _facts(after, standing)
    return [words, *(one.words for one in _of_quota(before, after, standing))]


def _standing(quota: ProjectQuota) -> Utilisation:
    return utilisations_of([quota])[quota.pk]


def _of_quota(before: ProjectQuota | None, after: ProjectQuota, standing: Utilisation) -> list[Consequence]:
    found = []
    if _refuses_more(before, after):
        refused = _refused_at_once(before, after, standing)
        found = [] if refused is None else [refused]
    if before is None or before.limit != after.limit:
        found += _blocked_by_shares(after, standing)
    return found


def _refuses_more(before: ProjectQuota | None, after: ProjectQuota) -> bool:
    if after.mode != ProjectQuota.Mode.HARD:
        return False
    return (
        before is None
        or before.mode != ProjectQuota.Mode.HARD
        or after.limit < before.limit
        or (after.period, after.anchor) != (before.period, before.anchor)
    )


def _refused_at_once(
    before: ProjectQuota | None, after: ProjectQuota, standing: Utilisation
) -> Consequence | None:
    facts = _facts(after, standing)
    if standing.limit != after.limit:
        words = _(
            "A temporary limit of %(temporary)s holds now. When it ends, this one takes its place; "
            "%(amount)s are used in the period that runs."
        )
        return Consequence("quota-later", words % facts)
    if not after.limit:
        words = _("All usage is refused from now on. Used so far in this period: %(amount)s.")
        return Consequence("quota-zero", words % facts)
    if standing.taken >= after.limit:
        words = _(
            "%(used)s of %(limit)s are used already: all further usage is refused at once, until %(until)s."
        )
        return Consequence("quota-reached", words % facts)
    if before is not None and before.mode != ProjectQuota.Mode.HARD:
        words = _(
            "%(used)s of %(limit)s are used. Usage that goes beyond the limit is refused from now on; until "
            "now it was recorded."
        )
        return Consequence("quota-hard", words % facts)
    return None


def _facts(quota: ProjectQuota, standing: Utilisation) -> dict[str, str]:
    unit = quota.metric.unit
    end = standing.period.end
    used = cells.grouped(standing.used or Decimal(0))
    if standing.held:
        used = _("%(used)s and %(held)s held") % {"used": used, "held": cells.grouped(standing.held)}
    return {
        "amount": f"{used} {unit}".strip(),
        "used": used,
        "limit": f"{cells.grouped(quota.limit)} {unit}".strip(),
        "temporary": f"{cells.grouped(standing.limit)} {unit}".strip(),
        "until": _("the limit is changed") if end is None else moments.in_words(end, to_the="minute"),
    }


def _blocked_by_shares(after: ProjectQuota, standing: Utilisation) -> list[Consequence]:
    """Thresholds that block at a share of this quota follow it at once."""
    if after.anchor is not None or standing.limit != after.limit:
        return []
    shares = UsageThreshold.objects.in_force().filter(
        project_id=after.project_id,
        metric_id=after.metric_id,
        period=after.period,
        quota_fraction__isnull=False,
        action=UsageThreshold.Action.BLOCK,
    )
    found = []
    for threshold in shares.select_related("project", "metric").order_by("id"):
        fraction = threshold.quota_fraction
        assert fraction is not None
        was_level = threshold.level
        with localcontext(EXACT):
            threshold.level = after.limit * fraction
        if was_level is None or threshold.level < was_level:
            found += _blocked(threshold)
    return found


def of_threshold(before: UsageThreshold | None, after: UsageThreshold) -> list[Consequence]:
    """Of a threshold as it will be, saved or not: whom it blocks at once and didn't block before."""
    if not _blocks(after):
        return []
    is_as_before = (
        before is not None
        and _blocks(before)
        and (before.amount, before.quota_fraction) == (after.amount, after.quota_fraction)
    )
    if is_as_before:
        return []
    after.level = level_of(after, limits_in_force({quota_key(after)}))
    return _blocked(after)


def _blocks(threshold: UsageThreshold) -> bool:
    return threshold.is_enabled and threshold.action == UsageThreshold.Action.BLOCK


def _blocked(threshold: UsageThreshold) -> list[Consequence]:
    reached = sorted(reached_now(threshold), key=lambda one: one.value, reverse=True)
    if not reached:
        return []
    unit = threshold.metric.unit
    facts: dict[str, Any] = {
        "level": f"{cells.grouped(threshold.level)} {unit}".strip(),
        "used": f"{cells.readable(reached[0].value)} {unit}".strip(),
        "count": cells.grouped(len(reached)),
    }
    if not threshold.is_for_each_subject:
        facts["whose"] = subject_words(threshold.subject_type, threshold.subject_id)
        words = _("Usage is blocked at once (%(whose)s): %(used)s are used, and the level is %(level)s.")
        return [Consequence("threshold-blocks", words % facts)]
    first = reached[:NAMED_SUBJECTS]
    named = [f"{subject_words(*one.subject)} ({cells.readable(one.value)})" for one in first]
    more = len(reached) - len(named)
    if more:
        named.append(ngettext("%d more", "%d more", more) % more)
    facts["who"] = ", ".join(named)
    words = ngettext(
        "%(count)s subject is at %(level)s or beyond now, and blocked at once: %(who)s.",
        "%(count)s subjects are at %(level)s or beyond now, and blocked at once: %(who)s.",
        len(reached),
    )
    return [Consequence("threshold-blocks", words % facts)]


def of_temporary_limit(quota: ProjectQuota, limit: Decimal) -> list[Consequence]:
    """Of a temporary limit that begins now: whether it refuses at once what the quota would still allow."""
    standing = _standing(quota)
    if quota.mode != ProjectQuota.Mode.HARD or not 0 <= limit < standing.limit:
        return []
    if limit and standing.taken < limit:
        return []
    facts = _facts(quota, standing)
    facts["limit"] = f"{cells.grouped(limit)} {quota.metric.unit}".strip()
    words = _(
        "%(used)s of %(limit)s are used already: all further usage is refused at once, until the temporary "
        "limit ends or the period does."
    )
    return [Consequence("temporary-reached", words % facts)]
