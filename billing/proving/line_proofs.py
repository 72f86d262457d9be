"""Whether issued lines stand on their events.

The evidence of each says what the line is about, the ledger has those very events, and lines that were made
together re-rate to what they come to. Reversals mirror what they reverse.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from billing.models import InvoiceLine, Price
from billing.money import scale_of
from metering.verifying.verification_findings import Breach, Outcome, counted
from metering.verifying.verification_rollups import one_snapshot

from .billed_readings import NOTHING_HELD, Ledger, Question
from .proof_findings import outcome, shown
from .rerating import Rater, Worth

Kind = InvoiceLine.Kind
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


def line_outcome(first: int, last: int, *, limit: int) -> Outcome:
    """Of the issued documents whose ids are from `first` to `last`."""
    with one_snapshot():
        lines = list(
            InvoiceLine.objects.filter(invoice__pk__range=(first, last), invoice__issued_at__isnull=False)
            .select_related("invoice__account", "billed_period__price", "reverses__invoice")
            .order_by("invoice_id", "position")
        )
        made = [line for line in lines if line.kind in (Kind.USAGE, Kind.TRUE_UP) and not line.reverses_id]
        breaches = [breach for line in lines if line.reverses is not None for breach in _mirrored(line)]
        breaches += _made_breaches(made)
    checked = f"{counted(len(made), 'line')} of usage"
    return outcome(checked, breaches, limit=limit)


def place_of(line: InvoiceLine) -> str:
    return f"{line.invoice} line {line.position} ({line.name})"


# -- reversals -------------------------------------------------------------------------------------------

_SAME = (
    "kind",
    "billed_period_id",
    "metric_id",
    "project_id",
    "group",
    "period_start",
    "period_end",
    "service_start_on",
    "service_end_on",
    "price",
    "share",
    "evidence",
    "event_count",
    "event_digest",
)
_OPPOSITE = ("amount", "discount_amount", "tax_amount", "quantity", "day_count")


def _mirrored(line: InvoiceLine) -> Iterator[Breach]:
    of = line.reverses
    assert of is not None
    wrong = [name for name in _SAME if _comparable(getattr(line, name)) != _comparable(getattr(of, name))]
    wrong += [name for name in _OPPOSITE if (getattr(line, name) or 0) != -(getattr(of, name) or 0)]
    try:
        taxes = [(tax["name"], tax["percent"], Fraction(tax["amount"])) for tax in of.taxes]
        taken_back = [(tax["name"], tax["percent"], -Fraction(tax["amount"])) for tax in line.taxes]
        if taxes != taken_back:
            wrong.append("taxes")
    except UNREADABLE:
        wrong.append("taxes")
    if wrong:
        yield Breach(
            "reversal_differs",
            f"{place_of(line)} takes back {of.invoice} line {of.position} and differs in {', '.join(wrong)}.",
        )


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


# -- evidence --------------------------------------------------------------------------------------------


def _made_breaches(lines: Sequence[InvoiceLine]) -> list[Breach]:
    ledger, prices = Ledger(), _prices_of(lines)
    breaches: list[Breach] = []
    together: dict[tuple[Any, ...], list[InvoiceLine]] = defaultdict(list)
    for line in lines:
        try:
            wrong = list(_evidence_breaches(line, prices))
            if not wrong:
                assert line.evidence is not None
                question = Question.of(line.evidence)
                ledger.ask(question, line.evidence["payer_id"])
                project = line.evidence["within"].get("project") if _by_project(line) else None
                ledger.ask(question.by() if project is None else question.by("project"), _payer(line))
                together[(line.invoice_id, line.billed_period_id, project)].append(line)
            breaches += wrong
        except UNREADABLE as error:
            breaches.append(
                Breach("evidence_unreadable", f"{place_of(line)} has evidence that can't be read: {error!r}.")
            )
    for (_invoice, _period, project), of_group in together.items():
        for line in of_group:
            breaches += _event_breaches(line, ledger)
        breaches += _group_breaches(of_group, ledger, project)
    return breaches


def _prices_of(lines: Iterable[InvoiceLine]) -> dict[int, list[Price]]:
    """By plan, in their order."""
    plan_ids = {line.billed_period.price.plan_id for line in lines if line.billed_period is not None}
    found: dict[int, list[Price]] = defaultdict(list)
    for price in Price.objects.filter(plan__in=plan_ids).order_by("plan_id", "position"):
        found[price.plan_id].append(price)
    return found


def _by_project(line: InvoiceLine) -> bool:
    assert line.billed_period is not None
    return line.billed_period.price.per_project


def _payer(line: InvoiceLine) -> int:
    return line.invoice.account.project_id


def _evidence_breaches(line: InvoiceLine, prices: Mapping[int, Sequence[Price]]) -> Iterator[Breach]:
    """Whether the evidence asks what the line is about, and nothing else."""
    if line.billed_period is None or line.evidence is None:
        yield Breach("evidence_missing", f"{place_of(line)} has no evidence.")
        return
    evidence, question, price = line.evidence, Question.of(line.evidence), line.billed_period.price
    within = {f"labels.{name}": text for name, text in line.group.items()}
    if line.project_key:
        within["project"] = line.project_key
    wanted = {
        "metric": (question.metric_id, line.metric_id, price.metric_id),
        "payer": (evidence["payer_id"], _payer(line)),
        "beginning": (question.start, line.period_start, line.billed_period.period_start),
        "end": (question.end, line.period_end),
        "label match": (evidence["match"], price.label_match),
        "other prices": (evidence["excluding"], _matched_before(price, prices[price.plan_id])),
        "position": (question.position, line.invoice.position),
        "project and labels": (evidence["within"], within),
    }
    wrong = [name for name, values in wanted.items() if any(one != other for one, other in pairwise(values))]
    if wrong:
        yield Breach(
            "evidence_differs",
            f"{place_of(line)} has evidence of something else than the line: {', '.join(wrong)}.",
        )
    if line.price != price.price:
        yield Breach("price_differs", f"{place_of(line)} was rated by a price that isn't the plan's.")
    if _share(line) != _served(line):
        yield Breach(
            "share_differs",
            f"{place_of(line)} was rated for {line.share or 'all'} of a full period; served were"
            f" {_served(line)}.",
        )


def _matched_before(price: Price, others: Sequence[Price]) -> list[dict[str, Any]]:
    """What other prices of the metric take first: the one that takes the rest comes behind all."""
    return [
        other.label_match
        for other in others
        if other.metric_id == price.metric_id
        and other.label_match
        and (not price.label_match or other.position < price.position)
    ]


def _share(line: InvoiceLine) -> Fraction:
    return Fraction(line.share) if line.share else Fraction(1)


def _served(line: InvoiceLine) -> Fraction:
    assert line.service_start_on is not None
    assert line.service_end_on is not None
    days = (line.service_end_on - line.service_start_on).days
    return min(Fraction(days, line.full_day_count or 1), Fraction(1))


def _event_breaches(line: InvoiceLine, ledger: Ledger) -> Iterator[Breach]:
    """Whether the ledger has the very events, and their quantity."""
    assert line.evidence is not None
    question = Question.of(line.evidence)
    group = tuple(line.evidence["within"][name] for name in question.names)
    held = ledger.held(question, _payer(line)).get(group, NOTHING_HELD)
    if line.event_count != held.event_count:
        yield Breach(
            "events_differ",
            f"{place_of(line)} was made of {counted(line.event_count or 0, 'event')}; at position"
            f" {question.position:,} the ledger has {held.event_count:,}.",
        )
    elif line.event_digest is None or bytes(line.event_digest) != held.digest:
        yield Breach(
            "event_digest_differs",
            f"{place_of(line)} was made of other events than the {held.event_count:,} that the ledger has.",
        )
    elif line.kind == Kind.USAGE and line.quantity != held.quantity:
        yield Breach(
            "quantity_differs",
            f"{place_of(line)} states a quantity of {line.quantity}; its events come to {held.quantity}.",
        )


# -- rating ----------------------------------------------------------------------------------------------


def _group_breaches(lines: Sequence[InvoiceLine], ledger: Ledger, project: str | None) -> Iterator[Breach]:
    """Lines that were rated together come to what the ledger is worth by their price."""
    first = lines[0]
    assert first.evidence is not None
    assert first.price is not None
    currency = first.invoice.currency
    rater = Rater(ledger, first.price, _share(first), currency)
    worth = rater.worth(Question.of(first.evidence), _payer(first), project=project)
    place = place_of(first) + (f" and {counted(len(lines) - 1, 'more line')}" if len(lines) > 1 else "")
    usage = [line for line in lines if line.kind == Kind.USAGE]
    for name, kind, owed in (("usage", Kind.USAGE, worth.usage), ("true-up", Kind.TRUE_UP, worth.true_up)):
        of_kind = [line for line in lines if line.kind == kind]
        booked = sum((Fraction(line.amount) for line in of_kind), Fraction(0))
        if booked != owed:
            yield Breach(
                "rating_differs",
                f"{place}: {name} of {shown(booked, currency)} was billed; by the ledger and its price it is"
                f" {shown(owed, currency)}.",
            )
        for line in of_kind:
            if line.rated_amount != owed or line.rated_quantity != worth.held.quantity:
                yield Breach(
                    "whole_differs",
                    f"{place_of(line)} is stated as part of {line.rated_quantity} for"
                    f" {shown(line.rated_amount, currency)}; the whole is {worth.held.quantity} for"
                    f" {shown(owed, currency)}.",
                )
    event_count = sum(line.event_count or 0 for line in usage)
    if event_count != worth.held.event_count:
        yield Breach(
            "events_left_out",
            f"{place}: {counted(event_count, 'event')} of {worth.held.event_count:,} are on lines.",
        )
    yield from _split_breaches(usage, worth, currency)


def _split_breaches(lines: Sequence[InvoiceLine], worth: Worth, currency: str) -> Iterator[Breach]:
    """Each part lies less than a unit off its proportion."""
    weights = [max(Fraction(line.quantity or 0), Fraction(0)) for line in lines]
    whole = sum(weights, Fraction(0))
    if len(lines) < 2 or not whole:
        return
    unit = Fraction(1, 10 ** scale_of(currency))
    for line, weight in zip(lines, weights, strict=True):
        exact = worth.usage * weight / whole
        if abs(Fraction(line.amount) - exact) >= unit:
            yield Breach(
                "split_differs",
                f"{place_of(line)} bears {shown(line.amount, currency)}; its part of the whole is about"
                f" {shown(exact, currency)}.",
            )
