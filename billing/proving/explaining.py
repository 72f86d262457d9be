"""From an invoice line to how its amount came about, and to the usage that it is made of.

Everything is read at the ledger position of the line, so that the answer stays what it was when the document
was issued. What was learned since is said apart, as counts.
"""

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from billing.invoicing.measured_usage import PROJECT, UsageAsk, meaning_of
from billing.models import Invoice, InvoiceLine
from billing.periods import grid_around
from billing.rating import Price
from billing.selling.billing_cycles import cycles_of
from metering.answering.answers import catalogue_now
from metering.answering.usage import Scope, Slice, Usage, usage_in
from metering.answering.usage_charts import HOURLY_UP_TO, MAX_CHART_DAYS
from metering.measuring.meaning import Meaning
from metering.measuring.windows import Window, windows_between, zone_named

from .computation import FEES, Step, applied_price, fee_by_days, steps_of
from .line_events import LearnedSince, learned_since
from .rerunning import Rerun, has_evidence, origin_of, rerun

_ADDING = frozenset({"COUNT", "SUM"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """Usage in one window of local time; `value` is None where the metric has nothing to say."""

    window: Window
    value: Decimal | None
    event_count: int


@dataclass(frozen=True, slots=True)
class Course:
    """A line's usage over its period, window by window, those without events included.

    Event counts add up to the line's, and values do where `adds_up`: a largest value or a number of different
    ones is not the sum of its days.
    """

    unit: str
    adds_up: bool
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a line is what it is.

    `origin` is the line that was worked out: itself, or what it takes back in the end. `price` is as it was
    applied. `course`, `rerun` and `learned` are of lines that are made of events; `zone` is that of the
    account when the period was billed. `stands` says whether working the line out again gives the same; None
    for what somebody added by hand.
    """

    line: InvoiceLine
    origin: InvoiceLine
    zone: ZoneInfo
    meaning: Meaning | None
    price: Price | None
    steps: tuple[Step, ...]
    course: Course | None = None
    rerun: Rerun | None = None
    learned: LearnedSince | None = None

    @property
    def ask(self) -> UsageAsk | None:
        """Which usage the line is made of."""
        return None if self.line.evidence is None else UsageAsk.from_predicate(self.line.evidence)

    @property
    def position(self) -> int | None:
        """The ledger position that everything is read at."""
        return None if self.line.evidence is None else int(self.line.evidence["position"])

    @property
    def stands(self) -> bool | None:
        if self.rerun is not None:
            return self.rerun.matches
        if self.origin.kind not in FEES or self.price is None:
            return None
        amount, by_days = self.origin.amount, fee_by_days(self.origin, self.price, self.currency)
        is_cut = self.origin.kind == InvoiceLine.Kind.FEE_CREDIT and by_days < amount <= 0
        return amount == by_days or is_cut

    @property
    def currency(self) -> str:
        return self.line.invoice.currency

    @property
    def reversal(self) -> InvoiceLine | None:
        """The line that took this one back, on whichever document."""
        return InvoiceLine.objects.filter(reverses=self.line).select_related("invoice").first()


def _mirrors(line: InvoiceLine) -> None:
    """A line of a voiding that waits says what it will reverse, which it does once that is issued."""
    note = line.invoice
    if note.is_draft and note.origin == Invoice.Origin.VOID and line.reverses is None:
        line.reverses = lines_to_explain().filter(invoice=note.credits_id, position=line.position).first()


def lines_to_explain() -> QuerySet[InvoiceLine]:
    """Lines with the rows that explaining them looks at."""
    return InvoiceLine.objects.select_related(
        "invoice__account__project",
        "billed_period__price",
        "billed_period__subscription__plan",
        "reverses__invoice__account",
        "reverses__billed_period__price",
        "reverses__billed_period__subscription__plan",
    )


def explained(line: InvoiceLine) -> Explanation:
    """Why the line of a draft or of an issued document is what it is. Reads the ledger where it is made of
    events."""
    _mirrors(line)
    origin, _sign = origin_of(line)
    explanation = Explanation(
        line=line,
        origin=origin,
        zone=zone_of(line),
        meaning=None,
        price=applied_price(origin),
        steps=steps_of(line, origin),
    )
    if line.evidence is None or not has_evidence(line):
        return explanation
    return replace(
        explanation,
        meaning=meaning_of(UsageAsk.from_predicate(line.evidence), catalogue_now()),
        course=course_of(line, zone=explanation.zone),
        rerun=rerun(line),
        learned=learned_since(line),
    )


def zone_of(line: InvoiceLine) -> ZoneInfo:
    """On whose clocks the line's period was cut, whatever the account's are today."""
    if line.billed_period is None or line.period_start is None:
        return zone_named(line.invoice.account.timezone)
    return grid_around(line.period_start, cycles_of(line.billed_period.subscription)).cycle.zone


def course_of(line: InvoiceLine, *, zone: ZoneInfo) -> Course:
    """The line's usage by local days, by hours where the period is short, by months where it is very long."""
    assert line.evidence is not None
    ask, position = UsageAsk.from_predicate(line.evidence), int(line.evidence["position"])
    catalogue = catalogue_now()
    meaning = meaning_of(ask, catalogue)
    length = ask.end - ask.start
    unit = "hour" if length <= HOURLY_UP_TO else "day"
    if length > dt.timedelta(days=MAX_CHART_DAYS):
        unit = "month"
    windows = list(windows_between(ask.start, ask.end, unit, zone))
    within = dict(ask.within)
    key = within.pop(PROJECT, None)
    projects = None
    if key is not None:
        node = catalogue.project(key)
        projects = [] if node is None else [node.id]
    # A group of labels is what it is beside the others, so they are read together and this one is taken.
    slice = Slice(scope=Scope(payer_id=ask.payer_id, project_ids=projects), group_by=tuple(within))
    found: dict[int, Usage] = {
        usage.window: usage
        for usage in usage_in(
            meaning, [(window.start, window.end) for window in windows], slice=slice, as_of=position
        )
        if tuple(usage.group.values()) == tuple(within.values())
    }
    buckets = tuple(
        Bucket(window, found[number].value, found[number].aggregate.record_count)
        if number in found
        else Bucket(window, None, 0)
        for number, window in enumerate(windows)
    )
    return Course(unit, meaning.aggregation.name in _ADDING, buckets)
