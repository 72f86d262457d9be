"""The very events of a line: pages, the CSV stream, and what was learned since."""

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import InvoiceLine
from billing.proving.explaining import explained
from billing.proving.line_events import EventPlace, Which, line_events, line_events_csv
from billing.proving.rerunning import rerun
from metering.texts.csv_cells import original
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded
from tests.metering.sealing.sealed_ledger import execute

pytestmark = pytest.mark.django_db

MANY = """
    INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name, subject_type,
           subject_id, quantity, labels, occurred_at, digest)
    SELECT p.id, p.id, 'api', 'many-' || n, 'tokens', 'customer', 'kim', 1, '{}',
           '2026-03-10T12:00:00Z'::timestamptz - n * interval '1 second', sha256(n::text::bytea)
      FROM metering_project p, generate_series(1, %s) n
     WHERE p.key = 'acme'
"""


@pytest.fixture
def acme():
    """Somebody who pays a tenth of a euro for a token from March on."""
    acme, tokens = a_project("acme"), a_metric("tokens", unit="token")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens)))
    return account


def line_of(account) -> InvoiceLine:
    billed("2026-04-01T00:00:00Z")
    return draft_of(account).lines.get()


def read_back(line, **options):
    text = b"".join(line_events_csv(line, **options)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_events_say_when_who_and_what_was_read(acme):
    [outcome] = recorded(
        an_event(
            acme.project,
            id="req-1",
            quantity="1.50",
            occurred_at="2026-03-10T12:00:00Z",
            subject_type="user",
            subject_id="kim",
            labels={"region": "eu"},
        )
    )

    [event] = line_events(line_of(acme)).events

    assert (event.id, event.project, event.source, event.event_id) == (outcome.id, "acme", "api", "req-1")
    assert (event.subject_type, event.subject_id, event.labels) == ("user", "kim", '{"region": "eu"}')
    assert (event.value, event.occurred_at, event.voided_by) == (1.5, at("2026-03-10T12:00:00Z"), None)


def test_events_outside_the_period_of_others_and_cancelled_before_are_left_out(acme):
    other = a_project("other")
    an_account(other)
    [kept] = used(acme.project, "1", on="2026-03-01T00:00:00Z")
    used(acme.project, "1", on="2026-04-01T00:00:00Z")
    used(acme.project, "1", on="2026-02-28T23:59:59.999999Z")
    used(other, "1")
    [gone] = used(acme.project, "1")
    a_void_of(gone)

    assert [event.id for event in line_events(line_of(acme)).events] == [kept]


def test_what_was_learned_since_is_told_apart(acme):
    a_seller()
    first, second = used(acme.project, "1", "2")
    billed("2026-04-01T00:00:00Z")
    line = issued(acme, "2026-04-01T01:00:00Z").lines.get()
    void_id = a_void_of(first)
    [late] = used(acme.project, "4")
    [taken_back] = used(acme.project, "8")
    a_void_of(taken_back)

    assert [(event.id, event.voided_by) for event in line_events(line).events] == [
        (first, void_id),
        (second, None),
    ]
    assert [event.id for event in line_events(line, which=Which.VOIDED).events] == [first]
    assert [event.id for event in line_events(line, which=Which.LATER).events] == [late]


def test_a_day_has_its_events(acme):
    [_before] = used(acme.project, "1", on="2026-03-09T23:59:59.999999Z")
    [first] = used(acme.project, "1", on="2026-03-10T00:00:00Z")
    [_after] = used(acme.project, "1", on="2026-03-11T00:00:00Z")

    page = line_events(line_of(acme), start=at("2026-03-10T00:00:00Z"), end=at("2026-03-11T00:00:00Z"))

    assert [event.id for event in page.events] == [first]


def test_value_of_a_metric_of_texts_is_the_text():
    acme = a_project("acme")
    users = a_metric("tokens", aggregation="UNIQUE_COUNT", data_type="STRING", value_property="user")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(users)))
    used(acme, "1", labels={"user": "=kim"})

    line = line_of(account)

    assert [event.value for event in line_events(line).events] == ["=kim"]
    assert [row["value"] for row in read_back(line)] == ["'=kim"]


def test_csv_reads_back_and_no_cell_is_a_formula(acme):
    recorded(
        an_event(
            acme.project,
            id="=1+1",
            source="@api",
            quantity="0.125",
            occurred_at="2026-03-10T12:00:00.5Z",
            subject_type="user",
            subject_id='-kim, "the\n1st"',
            labels={"note": "=2+2"},
        )
    )
    line = line_of(acme)

    [row] = read_back(line)

    assert (row["event_id"], row["source"], row["subject_id"][:2]) == ("'=1+1", "'@api", "'-")
    assert original(row["subject_id"]) == '-kim, "the\n1st"'
    assert (row["value"], row["project"], row["voided_by"]) == ("0.125", "acme", "")
    assert (row["occurred_at"], row["labels"]) == ("2026-03-10T12:00:00.500000Z", '{"note": "=2+2"}')


def test_ten_thousand_events_are_paged_there_and_back(acme):
    execute(MANY, 10_000)
    line = line_of(acme)

    pages, place = [], None
    while True:
        page = line_events(line, place=place, limit=1000)
        pages.append([event.id for event in page.events])
        if page.following is None:
            break
        place = EventPlace.from_text(page.following.text)
    back = line_events(line, place=page.preceding, limit=1000)

    ids = [event_id for page in pages for event_id in page]
    assert [len(page) for page in pages] == [1000] * 10
    assert ids == sorted(set(ids))
    assert [event.id for event in back.events] == pages[8]
    assert [int(row["id"]) for row in read_back(line)] == ids
    assert (rerun(line).event_count, rerun(line).matches) == (10_000, True)


def test_number_of_statements_does_not_grow_with_events(acme):
    def statements_for(line: InvoiceLine) -> int:
        line = InvoiceLine.objects.get(pk=line.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            explained(line)
            line_events(line)
        return len(queries)

    execute(MANY, 3)
    few = statements_for(line_of(acme))
    execute(MANY.replace("many-", "more-"), 3_000)
    many = statements_for(line_of(acme))

    assert many == few
    assert many < 40
