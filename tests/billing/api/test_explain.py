"""Lines explained by the API, down to the events, for the keys of whoever is billed."""

import csv
import hashlib
import io
from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at
from tests.metering.api.callers import Caller, fields_of
from tests.metering.sealing.sealed_ledger import behind_the_guards

pytestmark = pytest.mark.django_db


MARCH_IN_BERLIN = at("2026-02-28T23:00:00Z")


@pytest.fixture
def acme():
    """Somebody who pays a tenth of a euro for a token from March on, on the clocks of Berlin."""
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(acme, timezone="Europe/Berlin", tax_rates=[{"name": "VAT", "percent": "19"}])
    a_subscription(account, a_plan(a_usage_price(tokens), name="Pro"), effective_from=MARCH_IN_BERLIN)
    return account


def the_line(account):
    billed("2026-04-01T00:00:00Z")
    return draft_of(account).lines.get()


def path_to(line, rest=""):
    return f"/invoices/{line.invoice_id}/lines/{line.pk}/explain/{rest}"


def a_step(kind, **members):
    names = ("tier", "quantity", "of", "rate", "flat_amount", "amount")
    return {"kind": kind, "name": "", **dict.fromkeys(names), **members}


def digest_of(ids):
    """Of at most 1,000 ids: one leaf, and the digest over it."""
    leaf = hashlib.sha256(b"".join(each.to_bytes(8, "big") for each in ids)).digest()
    return hashlib.sha256(leaf).hexdigest()


def test_line_is_explained_whole(acme):
    [first] = used(acme.project, "100", on="2026-03-09T23:30:00Z")
    [second] = used(acme.project, "23.5", on="2026-03-28T23:30:00Z")
    line = the_line(acme)

    answer = Caller(acme.project, "read").get(path_to(line))

    assert answer.status_code == 200
    assert answer.json() == {
        "line": {
            "id": line.pk,
            "invoice": line.invoice_id,
            "number": None,
            "kind": "usage",
            "is_adjustment": False,
            "reverses": None,
            "reversed_by": None,
            "name": "Tokens",
            "plan": "Pro",
            "metric": "tokens",
            "unit": "token",
            "project": None,
            "labels": {},
            "period_start": "2026-02-28T23:00:00Z",
            "period_end": "2026-03-31T22:00:00Z",
            "first_day": "2026-03-01",
            "day_after": "2026-04-01",
            "quantity": "123.5",
            "currency": "EUR",
            "amount": "12.35",
            "discount_amount": "0.00",
            "tax_amount": "2.35",
            "reason": None,
            "added_by": None,
        },
        "price": {
            "full_period": {"model": "per_unit", "unit_amount": "0.1"},
            "applied": {"model": "per_unit", "unit_amount": "0.1"},
            "share": "1",
        },
        "computation": [
            a_step("quantity", quantity="123.5"),
            a_step("usage", quantity="123.5", rate="0.1", amount="12.35"),
            a_step("rounded", amount="12.35"),
            a_step("tax", name="VAT", rate="19", amount="2.35"),
            a_step("total", amount="14.7"),
        ],
        "stands": True,
        "evidence": {
            "predicate": {
                "metric": "tokens",
                "payer": "acme",
                "from": "2026-02-28T23:00:00Z",
                "to": "2026-03-31T22:00:00Z",
                "timezone": "Europe/Berlin",
                "match": {},
                "excluding": [],
                "within": {},
                "position": line.invoice.position,
            },
            "event_count": 2,
            "digest": digest_of([first, second]),
            "matches": True,
            "differences": [],
        },
        "buckets": {
            "window": "day",
            "timezone": "Europe/Berlin",
            "adds_up": True,
            "results": [
                {
                    "window_start": "2026-03-10T00:00:00+01:00",
                    "window_end": "2026-03-11T00:00:00+01:00",
                    "value": "100",
                    "record_count": 1,
                },
                {  # the day on which the clocks went forward
                    "window_start": "2026-03-29T00:00:00+01:00",
                    "window_end": "2026-03-30T00:00:00+02:00",
                    "value": "23.5",
                    "record_count": 1,
                },
            ],
        },
        "learned_since": {"voided_count": 0, "later_count": 0},
    }


def test_events_are_paged_by_cursor(acme):
    ids = used(acme.project, "1", "2", "3")
    line, caller = the_line(acme), Caller(acme.project, "read")

    first = caller.get(path_to(line, "events/?limit=2")).json()
    second = caller.get(first["next"].partition("/api/v1")[2]).json()
    back = caller.get(second["previous"].partition("/api/v1")[2]).json()

    assert [event["id"] for event in first["results"]] == ids[:2]
    assert first["previous"] is None
    assert [(event["id"], event["value"], event["voided_by"]) for event in second["results"]] == [
        (ids[2], "3", None)
    ]
    assert second["next"] is None
    assert back["results"] == first["results"]


def test_events_of_a_day_on_the_clocks_of_the_line(acme):
    used(acme.project, "1", on="2026-03-09T22:59:59.999999Z")
    [of_the_day] = used(acme.project, "2", on="2026-03-09T23:00:00Z")
    used(acme.project, "4", on="2026-03-10T23:00:00Z")

    answer = Caller(acme.project).get(path_to(the_line(acme), "events/?from=2026-03-10&to=2026-03-11"))

    assert [event["id"] for event in answer.json()["results"]] == [of_the_day]


def test_csv_has_all_events(acme):
    ids = used(acme.project, *["1"] * 5, labels={"note": "=1+1"})
    line, caller = the_line(acme), Caller(acme.project, "read")

    answer = caller.get(path_to(line, "events/"), headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="line-{line.pk}-events.csv"'
    assert [int(row["id"]) for row in rows] == ids
    assert {row["labels"] for row in rows} == {'{"note": "=1+1"}'}


def test_what_was_learned_since_is_counted_and_listed(acme):
    a_seller()
    first, _second = used(acme.project, "1", "2")
    billed("2026-04-01T00:00:00Z")
    line = issued(acme, "2026-04-01T01:00:00Z").lines.get()
    caller = Caller(acme.project, "read")
    before = caller.get(path_to(line)).json()
    a_void_of(first)
    [late] = used(acme.project, "4")

    after = caller.get(path_to(line)).json()
    listed = {
        which: [
            event["id"] for event in caller.get(path_to(line, f"events/?which={which}")).json()["results"]
        ]
        for which in ("voided", "later")
    }

    assert after["learned_since"] == {"voided_count": 1, "later_count": 1}
    assert {**after, "learned_since": None} == {**before, "learned_since": None}
    assert listed == {"voided": [first], "later": [late]}


def test_altered_ledger_does_not_match(acme):
    [event_id] = used(acme.project, "100")
    line = the_line(acme)

    behind_the_guards(f"UPDATE metering_usageevent SET quantity = 1 WHERE id = {event_id}")
    answer = Caller(acme.project, "read").get(path_to(line)).json()

    assert answer["stands"] is False
    assert answer["evidence"]["matches"] is False
    assert answer["evidence"]["differences"] == ["quantity", "amount"]


def test_line_by_hand_has_no_events_and_keeps_remarks_inside():
    account = an_account(a_project("acme"))
    invoice = begin_invoice(account, edited_by="ada")
    line = add_line(
        invoice, ManualLine("Setup", amount=Decimal("100"), reason="They complained."), added_by="ada"
    )
    caller = Caller(account.project, "read")

    explained = caller.get(path_to(line)).json()
    listed = caller.get(path_to(line, "events/")).json()
    answer = caller.get(path_to(line, "events/?format=csv"))

    assert (explained["line"]["reason"], explained["line"]["added_by"]) == (None, None)
    assert [explained[name] for name in ("price", "stands", "evidence", "buckets", "learned_since")] == [
        None
    ] * 5
    assert listed == {"results": [], "next": None, "previous": None}
    assert b"".join(answer.streaming_content).startswith(b"id,occurred_at")


def test_key_of_the_parent_sees_it_and_keys_beside_and_below_do_not():
    org = a_project("org", kind="organisation")
    team, beside = a_project("team", parent=org), a_project("beside", parent=org)
    below = a_project("below", parent=team)
    account = an_account(team)
    a_subscription(account, a_plan(a_usage_price(a_metric("tokens"))))
    used(team, "1")
    line = the_line(account)

    found = {
        project.key: [
            Caller(project, "read").get(path_to(line, rest)).status_code for rest in ("", "events/")
        ]
        for project in (org, team, beside, below)
    }

    assert found == {"org": [200, 200], "team": [200, 200], "beside": [404, 404], "below": [404, 404]}


@pytest.mark.parametrize("place", ["/invoices/{0}/lines/{2}/", "/invoices/{2}/lines/{1}/"])
@pytest.mark.parametrize("other", [0, 2**63, 10**30])
def test_no_other_line_is_found(acme, place, other):
    used(acme.project, "1")
    line = the_line(acme)

    answer = Caller(acme.project, "read").get(place.format(line.invoice_id, line.pk, other) + "explain/")

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("which=all", "which"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=WzEsMl0x", "cursor"),
        ("from=yesterday", "from"),
        ("from=2026-03-02&to=2026-03-02", "to"),
        ("unknown=1", "unknown"),
        ("format=csv&limit=5", "limit"),
    ],
)
def test_bad_parameters_are_named(acme, query, field):
    used(acme.project, "1")

    answer = Caller(acme.project, "read").get(path_to(the_line(acme), f"events/?{query}"))

    assert answer.status_code == 422
    assert [name for _code, name in fields_of(answer)] == [field]
