"""What the ledger held for the question of an invoice line, at its position. SQL, read only.

The second writing of `invoicing.measured_usage`: it stands on what verifying knows of readings, and shares
with the first writing only the words of label filters and the last step from an aggregate to a number.
Questions that differ in the payer alone are one statement. Index: usage_event_by_payer.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.event_pricing import rating_of_events
from billing.rating import Price, Rating
from metering.measuring.aggregations import AGGREGATIONS, Aggregate, mean_level
from metering.measuring.label_filter import Params, filter_from
from metering.models import MetricDefinition
from metering.verifying.verification_readings import LedgerSide

LEAF_EVENTS = 1_000  # ids to a leaf of the digest, by contract


@dataclass(frozen=True, slots=True)
class Question:
    """What the evidence of a line asks, without the payer. `names` are those that it is narrowed to."""

    metric_id: int
    start: dt.datetime
    end: dt.datetime
    match: str
    excluding: tuple[str, ...]
    position: int
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, evidence: Mapping[str, Any]) -> "Question":
        return cls(
            metric_id=int(evidence["metric_id"]),
            start=dt.datetime.fromisoformat(evidence["from"]),
            end=dt.datetime.fromisoformat(evidence["to"]),
            match=json.dumps(evidence["match"], sort_keys=True),
            excluding=tuple(json.dumps(match, sort_keys=True) for match in evidence["excluding"]),
            position=int(evidence["position"]),
            names=tuple(sorted(evidence["within"])),
        )

    def by(self, *names: str) -> "Question":
        return replace(self, names=names)


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger holds for a payer and group."""

    quantity: Decimal | None
    event_count: int
    digest: bytes


NOTHING_HELD = Held(None, 0, hashlib.sha256(b"").digest())
Group = tuple[str | None, ...]
Answer = dict[Group, Held]


class Ledger:
    """Answers questions, each asked once for all payers that have it."""

    def __init__(self) -> None:
        self._asked: dict[Question, set[int]] = {}
        self._answers: dict[Question, dict[int, Answer]] = {}
        self._metrics: dict[int, MetricDefinition] = {}

    def ask(self, question: Question, payer_id: int) -> None:
        """Announce a question, so that it is answered together with others."""
        self._asked.setdefault(question, set()).add(payer_id)

    def held(self, question: Question, payer_id: int) -> Answer:
        """What there is by group; groups without events are absent."""
        if payer_id not in self._asked.get(question, ()):
            self._asked.setdefault(question, set()).add(payer_id)
            self._answers.pop(question, None)
        if question not in self._answers:
            self._answers[question] = self._read(question, sorted(self._asked[question]))
        return self._answers[question].get(payer_id, {})

    def rating(self, question: Question, payer_id: int, price: Price, project: str | None) -> Rating:
        """The rating of a price whose model looks at each event."""
        params = Params()
        asked = question.by() if project is None else question.by("project")
        side = _BilledSide(self._metric(question), params, asked, [payer_id])
        return rating_of_events(price, side.events_sql(project), params)

    def _read(self, question: Question, payer_ids: Sequence[int]) -> dict[int, Answer]:
        params = Params()
        metric = self._metric(question)
        side = _BilledSide(metric, params, question, payer_ids)
        with connection.cursor() as cursor:
            cursor.execute(side.held_sql(), params)
            rows = cursor.fetchall()
        found: dict[int, Answer] = {}
        for payer_id, *group, count, before, total, moment, least, most, last, distinct, digest in rows:
            aggregate = Aggregate(
                record_count=count,
                value_sum=total,
                value_min=least,
                value_max=most,
                last_value=last,
                value_moment=moment,
                distinct_count=distinct,
            )
            if metric.aggregation == "TIME_WEIGHTED_AVG":
                quantity: Decimal | None = mean_level(
                    aggregate, before=before, start=question.start, end=question.end
                )
                if not count and not quantity:
                    continue
            else:
                quantity = AGGREGATIONS[metric.aggregation].value(aggregate)
            found.setdefault(payer_id, {})[tuple(group)] = Held(quantity, count, bytes(digest))
        return found

    def _metric(self, question: Question) -> MetricDefinition:
        if question.metric_id not in self._metrics:
            self._metrics[question.metric_id] = MetricDefinition.objects.get(pk=question.metric_id)
        return self._metrics[question.metric_id]


class _BilledSide(LedgerSide):
    def __init__(
        self, metric: MetricDefinition, params: Params, question: Question, payer_ids: Iterable[int]
    ) -> None:
        super().__init__(metric, params)
        self._question = question
        self._payer_ids = list(payer_ids)
        self._start = params.add(question.start)

    def _billed_readings(self) -> str:
        """Also those before the period where a reading counts by what came before it."""
        question, params = self._question, self._params
        position = params.add(question.position)
        clauses = [
            f"e.billing_scope_id = ANY ({params.add(self._payer_ids)}::bigint[])",
            f"e.occurred_at < {params.add(question.end)}",
            f"e.id <= {position}",
            filter_from(json.loads(question.match)).sql("e.labels", params),
            *(
                f"NOT {filter_from(json.loads(match)).sql('e.labels', params)}"
                for match in question.excluding
            ),
        ]
        if not self._is_stepped:
            clauses.append(f"e.occurred_at >= {self._start}")
        groups = [
            f"{'p.key' if name == 'project' else self._text(name.removeprefix('labels.'))} AS g{number}"
            for number, name in enumerate(question.names)
        ]
        return self._readings(also=clauses, columns=groups, voids=f"v.id <= {position}")

    def held_sql(self) -> str:
        """By payer and group: count, level before, sum, moment, least, most, last, distinct, digest."""
        aggregation = self._metric.aggregation
        groups = ", ".join(["billing_scope_id", *(f"g{n}" for n in range(len(self._question.names)))])
        key = f"jsonb_build_array({groups})"
        inside = f"at >= {self._start}"
        last = "NULL::numeric"
        if aggregation == "LATEST":
            last = f"(array_agg(value ORDER BY at DESC, id DESC) FILTER (WHERE {inside}))[1]"
        told = "told" if self._is_text else "trim_scale(value)::text"
        distinct = "0::bigint"
        if aggregation == "UNIQUE_COUNT":
            distinct = f"count(DISTINCT {told}) FILTER (WHERE {inside})"
        return f"""
        WITH {self._billed_readings()}, {self._amounts()},
        numbered AS (
            SELECT {groups}, id,
                   (row_number() OVER (PARTITION BY {groups} ORDER BY id) - 1) / {LEAF_EVENTS} AS leaf
              FROM amounts
             WHERE {inside}
        ),
        leaves AS (
            SELECT {groups}, leaf, sha256(string_agg(int8send(id), ''::bytea ORDER BY id)) AS digest
              FROM numbered
             GROUP BY {groups}, leaf
        ),
        digests AS (
            SELECT {key} AS held_key, sha256(string_agg(digest, ''::bytea ORDER BY leaf)) AS digest
              FROM leaves
             GROUP BY {groups}
        ),
        folded AS (
            SELECT {groups}, {key} AS held_key,
                   count(*) FILTER (WHERE {inside}) AS record_count,
                   COALESCE(sum(amount) FILTER (WHERE NOT {inside}), 0) AS before,
                   COALESCE(sum(amount) FILTER (WHERE {inside}), 0) AS total,
                   COALESCE(sum(amount * extract(epoch FROM at)) FILTER (WHERE {inside}), 0) AS moment,
                   min(value) FILTER (WHERE {inside}) AS least,
                   max(value) FILTER (WHERE {inside}) AS most,
                   {last} AS last,
                   {distinct} AS distinct_count
              FROM amounts
             GROUP BY {groups}
        )
        SELECT {groups}, record_count, before, total, moment, least, most, last, distinct_count,
               COALESCE(digest, sha256(''::bytea))
          FROM folded
          LEFT JOIN digests USING (held_key)
         WHERE record_count > 0
            OR {"TRUE" if aggregation == "TIME_WEIGHTED_AVG" else "FALSE"}
        """  # noqa: S608 (values are bound; the text is ours)

    def events_sql(self, project: str | None) -> str:
        """The very events, of one project or all, as the fold of event prices takes them."""
        of_project = "" if project is None else f"AND g0 = {self._params.add(project)}"
        return f"""
        WITH {self._billed_readings()}
        SELECT at AS occurred_at, id, value AS amount
          FROM readings
         WHERE at >= {self._start}
           {of_project}
        """  # noqa: S608 (values are bound; the text is ours)
