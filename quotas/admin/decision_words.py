"""A decision in plain words, for whoever is asked "why was this refused?"."""

from decimal import Decimal, InvalidOperation

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from metering import moments, numerals
from metering.admin import cells
from metering.texts.numbers import plain
from quotas.models import EVERY_SUBJECT_TOGETHER, ProjectQuota, QuotaDecision

Outcome = QuotaDecision.Outcome
_EACH = {
    "hour": gettext_lazy("an hour"),
    "day": gettext_lazy("a day"),
    "week": gettext_lazy("a week"),
    "month": gettext_lazy("a month"),
    "year": gettext_lazy("a year"),
    "never": gettext_lazy("in all"),
}


def sentences_on(decision: QuotaDecision, *, unit: str = "") -> list[str]:
    """What was asked, what stood against it, what became of it, and what it was decided by."""
    said = [_asked(decision, unit)]
    outcome = Outcome(decision.outcome)
    if outcome in {Outcome.DENIED, Outcome.SOFT_BREACH}:
        said += [_stood(decision, unit), _became(decision, outcome, unit)]
    elif outcome == Outcome.CLOSED_PERIOD:
        said += [
            _(
                "That use lies in the period from %(start)s until %(end)s, which is over. A hard quota takes "
                "late usage for a day after its period; later only keys with the permission “backfill” may "
                "record it."
            )
            % _period(decision),
            _("Nothing was recorded. Record it again with a key that has “backfill”, if it is right."),
        ]
    elif outcome == Outcome.UNAVAILABLE:
        said += [
            _("What a quota counts couldn't be read at that moment: “%s”") % decision.detail,
            _("Where a hard quota can't be asked, nothing is recorded. The same request may be sent again."),
        ]
    elif outcome == Outcome.BLOCKED:
        said += [_blocked(decision, unit), _unblocked(decision)]
    if decision.count > 1:
        said.append(
            ngettext(
                "The same was answered %(count)s time within that minute.",
                "The same was answered %(count)s times within that minute.",
                decision.count,
            )
            % {"count": numerals.count(decision.count)}
        )
    if decision.basis:
        said.append(_counted(decision))
    return said


def _asked(decision: QuotaDecision, unit: str) -> str:
    facts = {
        "at": moments.in_words(decision.first_at),
        "who": decision.actor,
        "project": decision.user_project_key,
        "metric": decision.metric_key,
        "requested": _number(decision.requested, unit),
    }
    if decision.requested is None:
        return _("On %(at)s, “%(who)s” asked to record usage of the project %(project)s.") % facts
    return (
        _("On %(at)s, “%(who)s” asked to record %(requested)s of “%(metric)s” for the project %(project)s.")
        % facts
    )


def _stood(decision: QuotaDecision, unit: str) -> str:
    facts = {
        "project": decision.project_key,
        "limit": _number(None if decision.limit is None else plain(decision.limit), unit),
        "each": _EACH.get(decision.period, decision.period),
        "used": _number(decision.used, ""),
        "held": _number(decision.held, ""),
        "remaining": _number(decision.remaining, ""),
    }
    said = _("The quota of %(project)s allows %(limit)s %(each)s.") % facts + " "
    if decision.held not in {None, "0"}:
        return said + (
            _("%(used)s were used before and %(held)s reserved by holds; %(remaining)s were left.") % facts
        )
    return said + _("%(used)s were used before; %(remaining)s were left.") % facts


def _became(decision: QuotaDecision, outcome: Outcome, unit: str) -> str:
    over = _over(decision)
    facts = {"over": _number(over, unit)}
    if outcome == Outcome.SOFT_BREACH:
        if over is None:
            return _("It went beyond the limit, and was recorded all the same: the quota is soft.")
        return (
            _("It went beyond the limit by %(over)s, and was recorded all the same: the quota is soft.")
            % facts
        )
    if over is None:
        return _("It would have gone beyond the limit, so nothing of it was recorded.")
    return _("It would have gone beyond the limit by %(over)s, so nothing of it was recorded.") % facts


def _blocked(decision: QuotaDecision, unit: str) -> str:
    facts = {
        "project": decision.project_key,
        "level": _number(None if decision.level is None else plain(decision.level), unit),
        "each": _EACH.get(decision.period, decision.period),
        "used": _number(decision.used, ""),
        "whose": _whose(decision),
    }
    return (
        _(
            "A threshold of %(project)s blocks at %(level)s %(each)s, and %(used)s were used by %(whose)s: "
            "nothing of it was recorded."
        )
        % facts
    )


def _whose(decision: QuotaDecision) -> str:
    """The subject whose usage reached the level."""
    facts = {"type": decision.subject_type, "id": decision.subject_id}
    if decision.subject_id == EVERY_SUBJECT_TOGETHER:
        if decision.subject_type:
            return _("all of type “%(type)s” together") % facts
        return _("all together")
    if not decision.subject_id:
        return _("usage without a subject")
    return f"{decision.subject_type} “{decision.subject_id}”".strip()


def _unblocked(decision: QuotaDecision) -> str:
    lifted = _(
        "Raise, switch off or remove the threshold to let it through; voiding usage that was wrong does, too."
    )
    if decision.period_end is None:
        return lifted
    ends = _("The block ends with the period, on %(end)s.") % _period(decision)
    return f"{ends} {lifted}"


def _over(decision: QuotaDecision) -> str | None:
    """By how much it went beyond what was left; None where that isn't a difference."""
    try:
        over = Decimal(decision.requested or "") - Decimal(decision.remaining or "")
    except InvalidOperation:
        return None
    return plain(over) if over > 0 else None


def _counted(decision: QuotaDecision) -> str:
    basis = QuotaDecision.Basis(decision.basis)
    if basis == QuotaDecision.Basis.CACHE:
        return _("It was decided by numbers that the process had read a moment before and held in memory.")
    words = {
        QuotaDecision.Basis.ROLLUPS: _("It was decided by the rollups and what was waiting to be merged."),
        QuotaDecision.Basis.LEDGER: _("It was decided exactly, while no other recorder used the quota."),
    }[basis]
    if decision.position is None:
        return words
    return (
        words
        + " "
        + _("Everything up to ledger position %s was counted.") % numerals.count(decision.position)
    )


def _period(decision: QuotaDecision) -> dict[str, str]:
    ends = (decision.period_start, decision.period_end)
    start, end = (cells.DASH if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC" for at in ends)
    return {"start": start, "end": end}


def _number(text: str | None, unit: str) -> str:
    if text is None:
        return cells.DASH
    return numerals.with_unit(cells.readable(Decimal(text)), unit)


def mode_words(mode: str) -> str:
    """How a mode is called; a dash for none."""
    return str(ProjectQuota.Mode(mode).label) if mode in ProjectQuota.Mode.values else cells.DASH
