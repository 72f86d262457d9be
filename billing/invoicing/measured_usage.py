"""How much usage a price takes over a period, at a ledger position, and which events that is.

Asked for many accounts at once: accounts that share metric, labels and interval are one question, and many
questions one statement, so that a billing run asks as much as there are prices and intervals, not accounts.
An answer at a position is the same after any later write, so it may be kept for as long as the run lasts.

Reads the ledger up to the position; writes and locks nothing. Index: usage_event_by_payer.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.event_pricing import rating_of_events
from billing.rating import Price as RatingPrice
from billing.rating import Rating
from metering.answering.answers import catalogue_now
from metering.answering.several_usages import MOST_TOGETHER, Question, usages_in
from metering.answering.usage import Scope, Slice, Usage
from metering.catalogue import Catalogue
from metering.errors import Conflict
from metering.measuring.event_sql import below_owner_sql, counted_sql, remember_owners
from metering.measuring.label_filter import Params, text_sql
from metering.measuring.meaning import Meaning

LEAF_EVENTS = 1_000  # ids to a leaf of the digest
NO_EVENTS_DIGEST = bytes.fromhex(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)  # of nothing
PROJECT = "project"

Group = tuple[str | None, ...]


class EvidenceContradictsUsage(Conflict):
    """The events that were listed aren't as many as were counted: one of the two statements is wrong."""

    code = "evidence_contradicts_usage"


@dataclass(frozen=True, slots=True)
class UsageAsk:
    """Which usage: of a metric, billed to a payer, in a half-open interval, of events whose labels match.

    `match` and `excluding` are label matches as JSON texts. `group_by` holds `project` and `labels.<name>`;
    `groups` narrows the question to one group, by (name, text) pairs.
    """

    metric_id: int
    payer_id: int
    start: dt.datetime
    end: dt.datetime
    match: str = "{}"
    excluding: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    within: tuple[tuple[str, str | None], ...] = ()

    def grouped_by(self, *names: str) -> "UsageAsk":
        return replace(self, group_by=names)

    def narrowed_to(self, group: Mapping[str, str | None]) -> "UsageAsk":
        """The same of one group alone."""
        return replace(self, group_by=(), within=tuple(sorted(group.items())))

    def predicate(self, position: int) -> dict[str, Any]:
        """The question as JSON: what an invoice line stores of it."""
        return {
            "metric_id": self.metric_id,
            "payer_id": self.payer_id,
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "match": json.loads(self.match),
            "excluding": [json.loads(match) for match in self.excluding],
            "within": dict(self.within),
            "position": position,
        }

    @classmethod
    def from_predicate(cls, predicate: Mapping[str, Any]) -> "UsageAsk":
        return cls(
            metric_id=predicate["metric_id"],
            payer_id=predicate["payer_id"],
            start=dt.datetime.fromisoformat(predicate["from"]),
            end=dt.datetime.fromisoformat(predicate["to"]),
            match=match_text(predicate["match"]),
            excluding=tuple(match_text(match) for match in predicate["excluding"]),
            within=tuple(sorted(predicate["within"].items())),
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What one question found. `quantity` is None where the metric has nothing to say.

    `digest` is SHA-256 over the digests of `LEAF_EVENTS` ids each, in the order of ids. `groups` is by the
    question's `group_by`, ordered.
    """

    quantity: Decimal | None
    event_count: int
    digest: bytes
    groups: Mapping[Group, "Measured"]


NOTHING = Measured(None, 0, NO_EVENTS_DIGEST, {})


def match_text(match: Mapping[str, Any]) -> str:
    """A label match as a text that is the same for equal ones."""
    return json.dumps(match, sort_keys=True, separators=(",", ":"))


def measured(asks: Iterable[UsageAsk], *, position: int) -> dict[UsageAsk, Measured]:
    """The answer to each question, at a ledger position. Raises `EvidenceContradictsUsage`."""
    asked = list(dict.fromkeys(asks))
    if not asked:
        return {}
    wholes = _measured_wholes(dict.fromkeys(_whole_of(ask) for ask in asked), catalogue_now(), position)
    found = {}
    for ask in asked:
        whole = wholes[_whole_of(ask)]
        group = tuple(text for _name, text in ask.within)
        found[ask] = whole.groups.get(group, NOTHING) if ask.within else whole
    return found


def _whole_of(ask: UsageAsk) -> UsageAsk:
    """The question of which a narrowed one is a group: a group is what it is beside the others."""
    if not ask.within:
        return ask
    return replace(ask, within=(), group_by=tuple(name for name, _text in ask.within))


@dataclass(frozen=True, slots=True)
class _Alike:
    """Questions that differ in the payer alone: one whose first group is the payer. `ask` stands for all."""

    ask: UsageAsk
    payer_ids: tuple[int, ...]

    def as_question(self, meaning: Meaning) -> Question:
        slice = Slice(scope=Scope(payer_ids=self.payer_ids), group_by=("billing_scope", *self.ask.group_by))
        return Question(meaning, [(self.ask.start, self.ask.end)], slice)


def _measured_wholes(
    asks: Iterable[UsageAsk], catalogue: Catalogue, position: int
) -> dict[UsageAsk, Measured]:
    """Answers to questions that aren't narrowed to a group. Where they are grouped, the groups are read
    beside the whole, which may be more than their sum."""
    payer_ids: dict[UsageAsk, set[int]] = defaultdict(set)
    for ask in asks:
        payer_ids[replace(ask, payer_id=0)].add(ask.payer_id)
    alike = {ask: _Alike(ask, tuple(sorted(ids))) for ask, ids in payer_ids.items()}
    in_parts = [one for one in alike.values() if one.ask.group_by]
    read = _read(
        list(dict.fromkeys([*(replace(one, ask=one.ask.grouped_by()) for one in alike.values()), *in_parts])),
        catalogue,
        position,
    )
    answers = {}
    for one in alike.values():
        wholes = read[replace(one, ask=one.ask.grouped_by())]
        for payer_id in one.payer_ids:
            whole = wholes.get(payer_id, {}).get((), NOTHING)
            groups = read[one].get(payer_id, {}) if one.ask.group_by else {}
            if one.ask.group_by and sum(group.event_count for group in groups.values()) != whole.event_count:
                raise EvidenceContradictsUsage("The groups don't have as many events as the whole.")
            answers[replace(one.ask, payer_id=payer_id)] = replace(whole, groups=groups)
    return answers


def _read(
    asked: Sequence[_Alike], catalogue: Catalogue, position: int
) -> dict[_Alike, dict[int, dict[Group, Measured]]]:
    """By payer and group. Numbers and events are read by a statement each, at the same position; one holds
    many questions."""
    meanings = [meaning_of(one.ask, catalogue) for one in asked]
    questions = [one.as_question(meaning) for one, meaning in zip(asked, meanings, strict=True)]
    usages = usages_in(questions, as_of=position)
    events = _events_by_group(asked, meanings, catalogue, position)
    return {
        one: _measured_by_payer(meaning, found, listed, catalogue)
        for one, meaning, found, listed in zip(asked, meanings, usages, events, strict=True)
    }


def _measured_by_payer(
    meaning: Meaning, usages: Sequence[Usage], events: "_Events", catalogue: Catalogue
) -> dict[int, dict[Group, Measured]]:
    """What both statements say of one question; they must agree about how many events there are."""
    found: dict[int, dict[Group, Measured]] = defaultdict(dict)
    for usage in usages:
        payer_key, *group = usage.group.values()
        payer = catalogue.project(str(payer_key))
        assert payer is not None  # it was asked for by its id
        count, digest = events.pop((payer.id, tuple(group)), (0, NO_EVENTS_DIGEST))
        if count != usage.aggregate.record_count:
            raise EvidenceContradictsUsage(
                f"{count} events were listed and {usage.aggregate.record_count} counted of '{meaning.key}'."
            )
        found[payer.id][tuple(group)] = Measured(usage.value, count, digest, {})
    if events:
        raise EvidenceContradictsUsage(f"Events of '{meaning.key}' were listed that weren't counted.")
    return found


_Events = dict[tuple[int, Group], tuple[int, bytes]]


def _events_by_group(
    asked: Sequence[_Alike], meanings: Sequence[Meaning], catalogue: Catalogue, position: int
) -> list[_Events]:
    """How many events there are by payer and group, and the digest of their ids, of each question."""
    found: list[_Events] = [{} for _ in asked]
    for first in range(0, len(asked), MOST_TOGETHER):
        params = Params()
        together = range(first, min(first + MOST_TOGETHER, len(asked)))
        remember_owners((meanings[number] for number in together), params)
        branches = [
            _digests_sql(number, asked[number], meanings[number], params, catalogue, position=position)
            for number in together
        ]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(branches), params)
            for number, payer_id, texts, count, digest in cursor.fetchall():
                group = _group_of(asked[number].ask.group_by, texts, catalogue)
                found[number][(payer_id, group)] = int(count), bytes(digest)
    return found


def _group_of(group_by: Sequence[str], texts: Sequence[str | None], catalogue: Catalogue) -> Group:
    return tuple(
        catalogue.project_by_id(int(str(text))).key if name == PROJECT else text
        for name, text in zip(group_by, texts, strict=True)
    )


def _digests_sql(
    number: int, one: _Alike, meaning: Meaning, params: Params, catalogue: Catalogue, *, position: int
) -> str:
    """Payer, group as texts, number of events and digest of their ids, of question `number`."""
    dimensions = ["e.billing_scope_id"]
    for name in one.ask.group_by:
        dimensions.append(
            "e.project_id" if name == PROJECT else f"({text_sql('e.labels', name[7:], params)})"
        )
    names = ", ".join(f"d{index}" for index in range(len(dimensions)))
    texts = ", ".join(f"d{index}::text" for index in range(1, len(dimensions)))
    columns = ", ".join(f"{sql} AS d{index}" for index, sql in enumerate(dimensions))
    held = events_sql(one.ask, meaning, params, catalogue, position=position, payer_ids=one.payer_ids)
    return f"""
        (WITH listed AS (
            SELECT {columns}, e.id FROM metering_usageevent e WHERE {held}
        ),
        numbered AS (
            SELECT {names}, id,
                   (row_number() OVER (PARTITION BY {names} ORDER BY id) - 1) / {LEAF_EVENTS} AS leaf
              FROM listed
        ),
        leaves AS (
            SELECT {names}, leaf, count(*) AS id_count,
                   sha256(string_agg(int8send(id), ''::bytea ORDER BY id)) AS digest
              FROM numbered
             GROUP BY {names}, leaf
        )
        SELECT {number} AS question, d0, ARRAY[{texts}]::text[], sum(id_count)::bigint,
               sha256(string_agg(digest, ''::bytea ORDER BY leaf))
          FROM leaves
         GROUP BY {names})
    """  # noqa: S608 (values are bound; the text is ours)


def events_sql(
    ask: UsageAsk,
    meaning: Meaning,
    params: Params,
    catalogue: Catalogue,
    *,
    position: int,
    payer_ids: Sequence[int] | None = None,
) -> str:
    """The condition on rows `e` of the ledger: the very events that the answer is made of."""
    scope = Scope(
        payer_ids=[ask.payer_id] if payer_ids is None else payer_ids,
        project_ids=_project_ids(ask, catalogue),
    )
    clauses = [
        scope.sql("e", params),
        f"e.occurred_at >= {params.add(ask.start)}",
        f"e.occurred_at < {params.add(ask.end)}",
        counted_sql(meaning, params, as_of=position),
        below_owner_sql(meaning, params),
    ]
    for name, text in ask.within:
        if name != PROJECT:
            clauses.append(
                f"({text_sql('e.labels', name[7:], params)}) IS NOT DISTINCT FROM {params.add(text)}::text"
            )
    return " AND ".join(clauses)


def rating_at(ask: UsageAsk, price: RatingPrice, *, position: int) -> Rating:
    """The rating of a price whose model looks at each event, folded in the database."""
    catalogue = catalogue_now()
    meaning = meaning_of(ask, catalogue)
    params = Params()
    events = f"""
        SELECT e.occurred_at, e.id, {meaning.value_sql(params)} AS amount
          FROM metering_usageevent e
         WHERE {events_sql(ask, meaning, params, catalogue, position=position)}
    """  # noqa: S608 (values are bound; the text is ours)
    return rating_of_events(price, events, params)


def meaning_of(ask: UsageAsk, catalogue: Catalogue) -> Meaning:
    """What the metric takes from the events that the question is about."""
    meaning = catalogue.meanings[ask.metric_id]
    match = json.loads(ask.match)
    excluding = [json.loads(text) for text in ask.excluding]
    return meaning.narrowed(match, excluding=excluding) if match or excluding else meaning


def _project_ids(ask: UsageAsk, catalogue: Catalogue) -> list[int] | None:
    for name, key in ask.within:
        if name == PROJECT:
            node = catalogue.project(str(key))
            return [] if node is None else [node.id]
    return None
