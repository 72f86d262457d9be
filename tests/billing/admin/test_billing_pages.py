"""The catalogue, accounts and subscriptions in the admin, as a finance clerk uses them."""

import datetime as dt

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import BillingAccount, Plan, Subscription
from billing.selling.plans import archive_plan
from billing.selling.subscriptions import cancel, change_plan
from metering.attributing.scope_tree import attribute
from tests.billing.factories import (
    a_draft,
    a_fee,
    a_plan,
    a_subscription,
    a_usage_price,
    an_account,
    prices_of,
)
from tests.factories import a_metric, a_project, an_event, at, recorded
from tests.metering.admin.confirming import confirmed

A_WEEK_AGO = timezone.now() - dt.timedelta(days=7)


def url(model: str, page: str, *args: object) -> str:
    return reverse(f"admin:billing_{model}_{page}", args=args)


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def onlooker(db: None) -> Client:
    user = User.objects.create_user("onlooker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


def fields(**overrides: object) -> dict[str, object]:
    """A graduated price as the form sends it."""
    return {
        "name": "",
        "label_match": "",
        "model": "graduated",
        "tiers_up_to": ["1000", "", ""],
        "tiers_rate": ["0.10", "0.08", ""],
        "tiers_flat": ["", "", ""],
        "min_amount": "50",
        "unit_amount": "7",  # of another model: left out
        **overrides,
    }


def test_empty_lists_say_what_to_do(staff: Client) -> None:
    for model, words in (
        ("plan", "give it prices, and publish it"),
        ("billingaccount", "that is to receive invoices"),
        ("subscription", "then subscribe the one to the other"),
    ):
        page = staff.get(url(model, "changelist"))
        assert page.status_code == 200
        assert words in page.content.decode()


def test_plan_is_drafted_priced_and_published(staff: Client) -> None:
    tokens = a_metric("tokens", display_name="Tokens")

    staff.post(
        url("plan", "add"),
        {
            "key": "pro",
            "name": "Pro",
            "description": "",
            "project": "",
            "currency": "EUR",
            "interval": "month",
            "interval_count": "1",
        },
    )
    plan = Plan.objects.get()
    staff.post(
        url("plan", "add_price", plan.pk, "fixed"), {"name": "Base fee", "amount": "49", "charged": "advance"}
    )
    staff.post(url("plan", "add_price", plan.pk, "usage"), fields(metric=tokens.pk))
    page = staff.get(url("plan", "change", plan.pk)).content.decode()

    assert [price.price for price in prices_of(plan)] == [
        {"model": "flat", "amount": "49"},
        {
            "model": "graduated",
            "tiers": [
                {"up_to": "1000", "unit_amount": "0.1", "flat_amount": "0"},
                {"up_to": None, "unit_amount": "0.08", "flat_amount": "0"},
            ],
            "min_amount": "50",
        },
    ]
    assert "49.00 EUR monthly, in advance" in page
    assert "0.10 EUR per unit up to 1,000, then 0.08; at least 50.00 EUR" in page

    asked = staff.get(url("plan", "publish", plan.pk)).content.decode()
    assert "neither plan nor prices can be changed" in asked
    unsaid = staff.post(url("plan", "publish", plan.pk))
    assert list(unsaid.context["form"].errors) == ["reason"]
    staff.post(url("plan", "publish", plan.pk), {"reason": "price list of March"})
    plan.refresh_from_db()
    assert plan.is_published
    assert "Add a price of usage" not in staff.get(url("plan", "change", plan.pk)).content.decode()


@pytest.mark.parametrize(
    ("overrides", "field", "words"),
    [
        ({"tiers_up_to": ["-1", "", ""]}, "tiers", "Tier 1: Must not be negative."),
        ({"tiers_up_to": ["1000", "5000", ""]}, "tiers", "Tier 2: The last tier must be open"),
        ({"min_amount": "lots"}, "min_amount", "number"),
        ({"min_amount": "60", "max_amount": "50"}, "min_amount", "max_amount"),
        ({"divide_by": "0"}, "divide_by", "greater than 0"),
        ({"label_match": "{"}, "label_match", "JSON"),
        ({"model": "percentage", "rate_percent": ""}, "rate_percent", "needed"),
        ({"model": "colour"}, "model", "valid choice"),
        ({"split_by": "project\nregion"}, "split_by", "Line 2: Must be project, or a label"),
    ],
)
def test_wrong_price_names_its_field(
    staff: Client, overrides: dict[str, object], field: str, words: str
) -> None:
    plan, tokens = a_draft(), a_metric("tokens")

    answer = staff.post(url("plan", "add_price", plan.pk, "usage"), fields(metric=tokens.pk, **overrides))

    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert words in str(errors[field])
    assert plan.prices.count() == 1


def test_price_page_begins_with_what_is_stored(staff: Client) -> None:
    tokens = a_metric("tokens")
    stored = {
        "model": "volume",
        "tiers": [
            {"up_to": "10", "unit_amount": "2", "flat_amount": "1"},
            {"up_to": None, "unit_amount": "1", "flat_amount": "0"},
        ],
        "usage_discount": "3",
        "unit_conversion": {"divide_by": "60", "round": "up"},
    }
    splits = ["project", "labels.region"]
    plan = a_draft(a_usage_price(tokens, stored, label_match={"region": "eu"}, split_by=splits))
    page_url = url("plan", "change_price", plan.pk, 0)

    page = staff.get(page_url)
    form = page.context["form"]
    sent = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
    rows = sent.pop("tiers")
    staff.post(
        page_url,
        {
            **sent,
            "metric": tokens.pk,
            "label_match": '{"region": "eu"}',
            "per_project": "",
            "charge_flat_on_zero": "",
            "tiers_up_to": [row[0] for row in rows],
            "tiers_rate": [row[1] for row in rows],
            "tiers_flat": [row[2] for row in rows],
        },
    )

    assert page.context["preview"]["words"].startswith("all units at 2.00 EUR per 60 units up to 600 units")
    [price] = prices_of(plan)
    assert (price.price, price.label_match, price.split_by) == (stored, {"region": "eu"}, splits)
    plan_page = staff.get(url("plan", "change", plan.pk)).content.decode()
    assert "where region is eu, a line by project and region" in plan_page


def test_preview_answers_while_typing_and_stores_nothing(staff: Client) -> None:
    plan, tokens = a_draft(), a_metric("tokens")
    preview_url = url("plan", "preview_price", plan.pk, "usage")

    shown = staff.post(preview_url, fields(metric=tokens.pk, preview_quantity="2000"))
    unfinished = staff.post(
        preview_url, fields(metric=tokens.pk, tiers_up_to=["9", "", ""], tiers_rate=["1", "", ""])
    )
    odd = staff.post(preview_url, fields(metric=tokens.pk, preview_quantity="many"))

    page = shown.content.decode()
    assert "0.10 EUR per unit up to 1,000, then 0.08" in page
    assert '<tr class="is-asked"><td class="is-number">2,000</td><td class="is-number"><strong>180.00' in page
    assert "<polyline" in page
    assert "Tier 1: The last tier must be open; leave “Up to” empty." in unfinished.content.decode()
    assert "The quantity to look at" in odd.content.decode()
    assert plan.prices.count() == 1
    assert staff.get(preview_url).status_code == 405


def test_prices_are_moved_and_removed(staff: Client) -> None:
    plan = a_draft(a_fee(name="One"), a_fee(name="Two"), a_fee(name="Three"))

    staff.post(url("plan", "move_price", plan.pk, 2))
    staff.post(url("plan", "move_price", plan.pk, 0))
    assert [price.name for price in prices_of(plan)] == ["One", "Three", "Two"]

    asked = staff.get(url("plan", "remove_price", plan.pk, 1)).content.decode()
    assert "Remove a price: Three" in asked
    staff.post(url("plan", "remove_price", plan.pk, 1))
    assert [(price.position, price.name) for price in prices_of(plan)] == [(0, "One"), (1, "Two")]
    assert staff.get(url("plan", "change_price", plan.pk, 7)).status_code == 404


def test_published_plan_has_no_forms_but_a_clone_has(staff: Client) -> None:
    plan = a_plan(a_fee(), key="pro")

    for page, args in (
        ("add_price", ("fixed",)),
        ("preview_price", ("fixed",)),
        ("change_price", (0,)),
        ("remove_price", (0,)),
        ("move_price", (0,)),
    ):
        assert staff.post(url("plan", page, plan.pk, *args), {"name": "x", "amount": "1"}).status_code == 403
    assert staff.post(url("plan", "change", plan.pk), {"name": "Other"}).status_code == 403

    staff.post(url("plan", "clone", plan.pk), {"key": "pro", "name": "Pro"})
    staff.post(url("plan", "clone", plan.pk), {"key": "team", "name": "Team"})
    refused = staff.post(url("plan", "clone", plan.pk), {"key": "pro", "name": "Pro"})

    assert "has a draft already" in refused.content.decode()
    assert list(Plan.objects.order_by("pk").values_list("key", "version", "state")) == [
        ("pro", 1, "published"),
        ("pro", 2, "draft"),
        ("team", 1, "draft"),
    ]
    staff.post(url("plan", "archive", plan.pk), {"reason": "sold out"})
    staff.post(url("plan", "remove", Plan.objects.get(key="team").pk))
    assert list(Plan.objects.order_by("pk").values_list("key", "state")) == [
        ("pro", "archived"),
        ("pro", "draft"),
    ]


def test_account_is_opened_with_lines_and_rates(staff: Client) -> None:
    project = a_project("acme")
    sent = {
        "project": project.pk,
        "legal_name": "Acme GmbH",
        "address_lines": "Street 1\r\n10115 Berlin",
        "country": "de",
        "tax_id": "",
        "tax_rates": "VAT 19 %\r\nCity tax 0.5",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "payment_terms_days": "14",
        "issue_grace_days": "2",
        "invoice_emails": "bills@acme.test",
    }

    wrong = staff.post(url("billingaccount", "add"), {**sent, "invoice_emails": "ok@acme.test\r\nnobody"})
    worse = staff.post(url("billingaccount", "add"), {**sent, "tax_rates": "19"})
    staff.post(url("billingaccount", "add"), sent)

    assert wrong.context["adminform"].form.errors == {
        "invoice_emails": ["“nobody” isn't a complete e-mail address, such as invoices@example.com."]
    }
    assert list(worse.context["adminform"].form.errors) == ["tax_rates"]
    account = BillingAccount.objects.get()
    assert account.address_lines == ["Street 1", "10115 Berlin"]
    assert account.tax_rates == [{"name": "VAT", "percent": "19"}, {"name": "City tax", "percent": "0.5"}]
    assert (account.country, account.payment_terms_days, account.issue_grace_days) == ("DE", 14, 2)


def test_account_page_shows_what_is_known_of_the_customer(staff: Client) -> None:
    acme = a_project("acme")
    tokens = a_metric("tokens", unit="tokens")
    a_metric("stray")
    account = an_account(acme, legal_name="Acme GmbH")
    now = timezone.now()
    subscription = a_subscription(
        account, a_plan(a_usage_price(tokens), name="Starter"), effective_from=now - dt.timedelta(days=40)
    )
    change_plan(subscription, plan=a_plan(a_fee(), name="Bigger"), now=now)
    recorded(
        an_event(acme, event_name="stray", quantity=5, occurred_at=(now - dt.timedelta(days=2)).isoformat())
    )

    page = staff.get(url("billingaccount", "change", account.pk)).content.decode()
    listed = staff.get(url("billingaccount", "changelist")).content.decode()

    assert "Usage that will be on no invoice" in page
    assert "No subscription takes it" in page
    assert "Starter" in page
    assert "Bigger" in page
    assert "Scheduled" in page
    assert "Starter" in listed


def test_account_whose_project_is_paid_for_says_so(staff: Client) -> None:
    tenant = a_project("tenant")
    acme = a_project("acme", parent=tenant)
    attribute(acme, payer=tenant)

    page = staff.get(url("billingaccount", "change", an_account(acme).pk)).content.decode()

    assert "another project pays for this one" in page
    assert "nothing of what the project uses is billed" in page


def test_subscription_is_begun_on_the_accounts_clocks(staff: Client) -> None:
    account = an_account(a_project("acme"), timezone="Europe/Berlin")
    plan = a_plan()
    sent = {
        "account": account.pk,
        "plan": plan.pk,
        "effective_from": "2026-03-01",
        "effective_until": "2026-12-31 12:00",
        "trial_until": "",
        "anchor": "anniversary",
        "anchor_on": "",
    }

    wrong = staff.post(url("subscription", "add"), {**sent, "effective_from": "March"})
    refused = staff.post(url("subscription", "add"), {**sent, "effective_until": "2026-02-28"})
    asked = staff.post(url("subscription", "add"), sent)
    before = Subscription.objects.count()
    confirmed(staff, url("subscription", "add"), sent)

    assert before == 0
    assert [str(one) for one in asked.context["sentences"]] == [
        f"{account.legal_name} is on {plan.name} ({plan}) from 2026-03-01 until 2026-12-31 12:00.",
        "The first billing period: 2026-03-01 to 2026-03-31, 31 days.",
        "Base fee in advance: 30.00 EUR for 31 of 31 days, on the next draft.",
        "It begins in the past: periods that are over come onto the next draft, usage included.",
    ]
    assert list(wrong.context["adminform"].form.errors) == ["effective_from"]
    assert list(refused.context["adminform"].form.errors) == ["effective_until"]
    subscription = Subscription.objects.get()
    assert subscription.effective_from == at("2026-02-28T23:00:00Z")
    assert subscription.effective_until == at("2026-12-31T11:00:00Z")
    assert subscription.cycles.get().anchor_on == dt.date(2026, 3, 1)


def test_add_page_offers_what_the_account_may_be_on(staff: Client) -> None:
    tenant = a_project("tenant")
    account = an_account(a_project("acme", parent=tenant))
    fits = {a_plan().pk, a_plan(project=tenant).pk}
    a_plan(currency="USD")
    a_plan(project=a_project("globex", parent=tenant))
    a_draft()
    archive_plan(a_plan())

    page = staff.get(url("subscription", "add") + f"?account={account.pk}")

    assert {plan.pk for plan in page.context["adminform"].form.fields["plan"].queryset} == fits
    later = staff.get(url("subscription", "add"))
    assert later.context["adminform"].form.fields["plan"].queryset.count() == 4


def test_change_of_plan_is_previewed_then_confirmed_then_taken_back(staff: Client) -> None:
    account = an_account(a_project("acme"))
    subscription = a_subscription(
        account, a_plan(a_fee("31")), effective_from=timezone.now() - dt.timedelta(days=3)
    )
    plan = a_plan(a_fee("60"), name="Bigger")
    order_url = url("subscription", "change_plan", subscription.pk)

    looked = staff.post(order_url, {"plan": plan.pk, "when": "now", "at": "", "_preview": "1"})
    assert "What it means" in looked.content.decode()
    assert "Credit: Base fee" in looked.content.decode()
    assert Subscription.objects.count() == 1

    later = staff.post(order_url, {"plan": plan.pk, "when": "period_end", "at": "", "_preview": "1"})
    at = later.context["preview"]["at"]
    assert [line["due"] for line in later.context["preview"]["lines"]] == [f"on {at}"]
    assert f"Charged on {at}, before tax" in later.content.decode()

    missing = staff.post(order_url, {"plan": plan.pk, "when": "at", "at": ""})
    assert list(missing.context["form"].errors) == ["at"]

    staff.post(
        order_url, {"plan": plan.pk, "when": "period_end", "at": "", "_confirm": "1", "reason": "asked for"}
    )
    assert Subscription.objects.get(plan=plan).replaces == subscription
    refused = staff.post(
        order_url, {"plan": a_plan().pk, "when": "now", "at": "", "_confirm": "1", "reason": "asked for"}
    )
    assert "take that back first" in refused.content.decode()

    page = staff.get(url("subscription", "change", subscription.pk)).content.decode()
    assert "Bigger" in page
    assert "Take the change back" in page
    assert "Change the plan" not in page

    staff.post(url("subscription", "withdraw_change", subscription.pk), {"reason": "a mistake"})
    subscription.refresh_from_db()
    assert subscription.effective_until is None


def test_subscription_is_cancelled_and_kept(staff: Client) -> None:
    subscription = a_subscription(
        an_account(a_project("acme")), a_plan(), effective_from=timezone.now() - dt.timedelta(days=3)
    )

    looked = staff.post(
        url("subscription", "cancel_subscription", subscription.pk), {"when": "period_end", "at": ""}
    )
    page = looked.content.decode()
    assert "No fixed fees are credited or charged" in page
    assert "Usage until then is billed, later usage is not" in page
    assert "Its last period" in page
    assert "the old plan" not in page
    staff.post(
        url("subscription", "cancel_subscription", subscription.pk),
        {"when": "period_end", "at": "", "_confirm": "1", "reason": "asked for"},
    )
    subscription.refresh_from_db()
    assert subscription.cancelled_at is not None

    staff.post(url("subscription", "withdraw_cancellation", subscription.pk), {"reason": "a mistake"})
    subscription.refresh_from_db()
    assert (subscription.cancelled_at, subscription.effective_until) == (None, None)


def test_last_days_are_included(staff: Client) -> None:
    """Of a subscription, its trial and its cancellation; pages say them as they were typed."""
    account, plan = an_account(a_project("acme"), timezone="Europe/Berlin"), a_plan()
    terms = {
        "account": account.pk,
        "plan": plan.pk,
        "effective_from": "2999-03-01",
        "effective_until": "2999-03-31",
        "trial_until": "2999-03-14",
        "anchor": "calendar",
        "anchor_on": "",
    }

    confirmed(staff, url("subscription", "add"), terms)

    subscription = Subscription.objects.get()
    assert subscription.effective_until == at("2999-03-31T22:00:00Z")  # summer time begins on the 31st
    assert subscription.trial_until == at("2999-03-14T23:00:00Z")
    page = staff.get(url("subscription", "change", subscription.pk)).content.decode()
    assert "2999-03-31 (included)" in page
    assert "2999-03-14 (included)" in page
    assert "2999-03-31 (included)" in staff.get(url("subscription", "changelist")).content.decode()
    assert "2999-03-31 (included)" in staff.get(url("billingaccount", "change", account.pk)).content.decode()

    order_url = url("subscription", "cancel_subscription", subscription.pk)
    order = {"when": "at", "at": "2999-03-20", "reason": "asked for"}
    looked = staff.post(order_url, order)
    staff.post(order_url, {**order, "_confirm": "1"})

    assert "It holds until <strong>2999-03-20 (included)</strong> (Europe/Berlin)." in looked.content.decode()
    subscription.refresh_from_db()
    assert subscription.effective_until == at("2999-03-20T23:00:00Z")


@pytest.mark.parametrize("spelling", ["2999-03-20", "29990320", "2999-W12-3"])
def test_last_day_is_included_however_it_is_spelled(staff: Client, spelling: str) -> None:
    account = an_account(a_project("acme"), timezone="Europe/Berlin")
    subscription = a_subscription(account, a_plan(), effective_from=at("2999-03-01T00:00:00Z"))
    order_url = url("subscription", "cancel_subscription", subscription.pk)

    staff.post(order_url, {"when": "at", "at": spelling, "reason": "asked for", "_confirm": "1"})

    subscription.refresh_from_db()
    assert subscription.effective_until == at("2999-03-20T23:00:00Z")


def test_subscription_that_never_begins_is_said_so(staff: Client) -> None:
    account = an_account(a_project("acme"), timezone="Europe/Berlin")
    subscription = a_subscription(
        account, a_plan(), effective_from=at("2999-03-01T00:00:00", "Europe/Berlin")
    )
    order_url = url("subscription", "cancel_subscription", subscription.pk)
    order = {"when": "at", "at": "2999-02-28", "reason": "asked for"}

    too_early = staff.post(order_url, {**order, "at": "2999-02-27"})
    looked = staff.post(order_url, order)
    staff.post(order_url, {**order, "_confirm": "1"})

    [refusal] = too_early.context["form"].errors["at"]
    assert refusal == "The subscription begins only at 2999-03-01 00:00:00 CET."
    assert "It never begins." in looked.content.decode()
    for page in (url("subscription", "changelist"), url("subscription", "change", subscription.pk)):
        content = staff.get(page).content.decode()
        assert "Never began" in content
        assert "2999-02-28" not in content


def test_onlooker_changes_nothing(onlooker: Client) -> None:
    plan = a_draft()
    account = an_account(a_project("acme"))
    subscription = a_subscription(account, a_plan(key="sold"))

    for page in (
        url("plan", "change", plan.pk),
        url("billingaccount", "change", account.pk),
        url("subscription", "change", subscription.pk),
        url("subscription", "changelist"),
    ):
        assert onlooker.get(page).status_code == 200
    for page in (
        url("plan", "add"),
        url("plan", "publish", plan.pk),
        url("plan", "clone", plan.pk),
        url("plan", "remove", plan.pk),
        url("plan", "add_price", plan.pk, "fixed"),
        url("plan", "preview_price", plan.pk, "fixed"),
        url("plan", "remove_price", plan.pk, 0),
        url("billingaccount", "change", account.pk),
        url("subscription", "add"),
        url("subscription", "change_plan", subscription.pk),
        url("subscription", "cancel_subscription", subscription.pk),
    ):
        assert onlooker.post(page, {}).status_code in {302, 403}, page
    plan.refresh_from_db()
    subscription.refresh_from_db()
    assert plan.is_draft
    assert plan.prices.count() == 1
    assert subscription.effective_until is None


def test_names_are_shown_as_text(staff: Client) -> None:
    plan = a_draft(a_fee(name="<script>alert(1)</script>"), name="<b>Pro</b>")

    for page in (
        url("plan", "changelist"),
        url("plan", "change", plan.pk),
        url("plan", "change_price", plan.pk, 0),
    ):
        text = staff.get(page).content.decode()
        assert "<script>alert(1)" not in text
        assert "<b>Pro</b>" not in text


def test_subscription_page_shows_the_running_period_its_neighbours_and_no_more(staff: Client) -> None:
    account = an_account(a_project("acme"))
    daily = a_subscription(
        account, a_plan(interval="day"), effective_from=timezone.now() - dt.timedelta(days=4000)
    )
    over = a_subscription(
        account,
        a_plan(),
        effective_from=at("2020-01-15T00:00:00Z"),
        effective_until=at("2020-02-10T00:00:00Z"),
    )

    running = staff.get(url("subscription", "change", daily.pk)).context["order"]["periods"]
    ended = staff.get(url("subscription", "change", over.pk)).context["order"]["periods"]

    assert [(each["is_running"], each["lies_ahead"]) for each in running] == [
        (False, True),
        (True, False),
        *[(False, False)] * 4,
    ]
    assert [each["words"] for each in ended] == [
        "2020-02-01 to 2020-02-09, 9 of 29 days",
        "2020-01-15 to 2020-01-31, 17 of 31 days",
    ]


def test_lists_tell_states_apart(staff: Client) -> None:
    account, now = an_account(a_project("acme")), timezone.now()
    month = dt.timedelta(days=31)
    rows = {
        "active": a_subscription(account, a_plan(), effective_from=now - month),
        "ended": a_subscription(account, a_plan(), effective_from=now - month, effective_until=now),
        "scheduled": a_subscription(account, a_plan(), effective_from=now + month),
        "withdrawn": cancel(a_subscription(account, a_plan(), effective_from=now + month), now=now),
    }

    def listed(state: str) -> set[int]:
        page = staff.get(url("subscription", "changelist"), {"state": state})
        return {row.pk for row in page.context["cl"].result_list}

    assert listed("active") == {rows["active"].pk}
    assert listed("scheduled") == {rows["scheduled"].pk}
    assert listed("ended") == {rows["ended"].pk, rows["withdrawn"].pk}
