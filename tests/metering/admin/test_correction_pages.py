"""Correcting in the admin: told first, recorded once confirmed, and by those alone who may."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from metering.models import Correction, UsageEvent
from quotas.enforcement import set_quota
from tests.factories import a_void_of, an_event, ledger_rows, recorded, total_of

from .conftest import World

EVENTS = "admin:metering_usageevent_changelist"
CORRECTIONS = "admin:metering_correction_changelist"


def page_of(event_id: int) -> str:
    return reverse("admin:metering_usageevent_change", args=[event_id])


def void_page(event_id: int) -> str:
    return reverse("admin:metering_usageevent_void", args=[event_id])


def amend_page(event_id: int) -> str:
    return reverse("admin:metering_usageevent_amend", args=[event_id])


def void_many_page(*event_ids: int) -> str:
    return reverse("admin:metering_usageevent_void_many") + "?ids=" + ",".join(map(str, event_ids))


def text_of(response: Any) -> str:
    """What the page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def filled_in(response: Any, **changes: str) -> dict[str, str]:
    """What a browser would send: the form as it is shown, with changes."""
    form = response.context["form"]
    return {name: form[name].value() or "" for name in form.fields if name != "ignore_limits"} | changes


@pytest.fixture
def clerk(db: None) -> Callable[..., Client]:
    """Staff who may view every table, and what is named."""

    def sign_in(*rights: str) -> Client:
        user = User.objects.create_user(f"clerk {len(rights)}", is_staff=True)
        viewing = Permission.objects.filter(codename__startswith="view_")
        user.user_permissions.set([*viewing, *Permission.objects.filter(codename__in=rights)])
        client = Client()
        client.force_login(user)
        return client

    return sign_in


# -- who may -----------------------------------------------------------------------------------------------


def test_staff_without_the_rights_see_no_buttons_and_are_refused(onlooker: Client, world: World) -> None:
    event_id = world.event.pk
    page = onlooker.get(page_of(event_id)).content.decode()
    listed = onlooker.get(reverse(EVENTS)).content.decode()

    assert void_page(event_id) not in page
    assert amend_page(event_id) not in page
    assert "void_selected" not in listed
    for url in (void_page(event_id), amend_page(event_id), void_many_page(event_id)):
        for response in (onlooker.get(url), onlooker.post(url, {"reason": "no", "quantity": "1"})):
            assert response.status_code == 403
    onlooker.post(reverse(EVENTS), {"action": "void_selected", "_selected_action": [event_id]})
    assert (Correction.objects.count(), len(ledger_rows("id"))) == (0, 5)


@pytest.mark.parametrize(("right", "may"), [("void_usageevent", "void"), ("amend_usageevent", "amend")])
def test_each_right_opens_its_own_page(
    clerk: Callable[..., Client], world: World, right: str, may: str
) -> None:
    client, event_id = clerk(right), world.event.pk
    page = client.get(page_of(event_id)).content.decode()

    for verb, url in (("void", void_page(event_id)), ("amend", amend_page(event_id))):
        assert (url in page) is (verb == may)
        assert client.get(url).status_code == (200 if verb == may else 403)
    assert client.get(void_many_page(event_id)).status_code == (200 if may == "void" else 403)
    assert ("void_selected" in client.get(reverse(EVENTS)).content.decode()) is (may == "void")


def test_right_to_correct_without_the_right_to_look_is_nothing(db: None, world: World) -> None:
    user = User.objects.create_user("blind", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="void_usageevent"))
    client = Client()
    client.force_login(user)

    assert client.get(void_page(world.event.pk)).status_code == 403
    assert client.get(void_many_page(world.event.pk)).status_code == 403


def test_posting_from_elsewhere_is_refused(db: None, world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))

    for url in (void_page(world.event.pk), amend_page(world.event.pk), void_many_page(world.event.pk)):
        assert client.post(url, {"reason": "no"}).status_code == 403
    assert Correction.objects.count() == 0


# -- void --------------------------------------------------------------------------------------------------


def test_void_is_told_first_and_changes_nothing_until_confirmed(staff: Client, world: World) -> None:
    page = text_of(staff.get(void_page(world.event.pk)))

    assert "Tokens shop · May 2024 15,000 14,000 −1,000" in page
    assert "peak shop · May 2024 5,000 5,000 none" in page
    assert (Correction.objects.count(), total_of("tokens")) == (0, 15_000)


def test_confirmed_void_is_recorded_with_who_and_why(staff: Client, world: World) -> None:
    event_id = world.event.pk

    response = staff.post(void_page(event_id), {"reason": "sent <twice>"}, follow=True)

    page = text_of(response)
    assert response.redirect_chain == [(page_of(event_id), 302)]
    assert "1 event is voided." in page
    assert "root · “sent &lt;twice&gt;”" in page
    assert list(Correction.objects.values_list("event", "actor", "reason", "kind")) == [
        (event_id, "root", "sent <twice>", "void")
    ]
    assert total_of("tokens") == 14_000
    assert void_page(event_id) not in response.content.decode()
    assert amend_page(event_id) not in response.content.decode()
    void_id = Correction.objects.get().void
    void = staff.get(page_of(void_id))
    assert "root · “sent &lt;twice&gt;”" in text_of(void)
    assert void_page(void_id) not in void.content.decode()


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001])
def test_void_without_a_reason_is_asked_again(staff: Client, world: World, reason: str) -> None:
    response = staff.post(void_page(world.event.pk), {"reason": reason})

    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["reason"]
    assert "Tokens shop · May 2024" in text_of(response)
    assert Correction.objects.count() == 0


def test_ticked_events_are_voided_together(staff: Client, world: World) -> None:
    ids = [row_id for (row_id,) in ledger_rows("id")]
    ticked = staff.post(
        reverse(EVENTS),
        {"action": "void_selected", "_selected_action": ids[:3], "select_across": "1"},
    )
    assert ticked["Location"] == void_many_page(*ids[:3]).replace(",", "%2C")
    a_void_of(ids[0])

    told = staff.get(ticked["Location"])
    done = staff.post(ticked["Location"], {"reason": "a test run"}, follow=True)

    assert "Void 2 events" in text_of(told)
    assert "1 of the chosen events is voided already" in text_of(told)
    assert "Tokens shop · May 2024 14,000 9,000 −5,000" in text_of(told)
    assert "2 events are voided. 1 had been before." in text_of(done)
    assert total_of("tokens") == 9000
    again = staff.get(ticked["Location"], follow=True)
    assert "Nothing to do" in text_of(again)


@pytest.mark.parametrize("ids", ["", "x", "1,,2", "-1", "9" * 19, ",".join(["1"] * 201)])
def test_address_that_names_no_events_leads_back(staff: Client, world: World, ids: str) -> None:
    url = reverse("admin:metering_usageevent_void_many")

    response = staff.get(url, {"ids": ids}, follow=True)

    assert response.redirect_chain == [(reverse(EVENTS), 302)]
    assert "Tick the events" in text_of(response)


def test_void_is_not_voided(staff: Client, world: World) -> None:
    void_id = a_void_of(world.event.pk)

    for response in (
        staff.post(void_page(void_id), {"reason": "no"}, follow=True),
        staff.get(void_page(void_id), follow=True),
        staff.get(void_many_page(void_id), follow=True),
    ):
        assert "is a void and can&#x27;t be voided" in text_of(response)
    assert Correction.objects.count() == 1


@pytest.mark.parametrize("page", [void_page, amend_page])
def test_event_that_does_not_exist_is_not_found(staff: Client, db: None, page: Callable[[int], str]) -> None:
    assert staff.get(page(10**6)).status_code == 404


# -- amend -------------------------------------------------------------------------------------------------


def test_amendment_is_filled_in_told_and_recorded_once_confirmed(staff: Client, world: World) -> None:
    event_id = world.event.pk
    form = staff.get(amend_page(event_id))
    assert filled_in(form) == {
        "project": "shop",
        "occurred_at": "2024-05-11T12:00:00Z",
        "quantity": "1000",
        "subject_type": "customer",
        "subject_id": "kim",
        "labels": '{\n    "note": "<script>",\n    "model": "large"\n}',
        "reason": "",
        "seen": "",
    }

    told = staff.post(
        amend_page(event_id),
        filled_in(form, quantity="250.5", occurred_at="2024-06-01T00:00:00+02:00", reason="a typo"),
    )
    assert "Occurred at 2024-05-11T12:00:00Z 2024-06-01T00:00:00+02:00" in text_of(told)
    assert "Quantity 1000 250.5" in text_of(told)
    assert "Tokens shop · May 2024 15,000 14,250.5 −749.5" in text_of(told)
    assert Correction.objects.count() == 0
    done = staff.post(amend_page(event_id), filled_in(told, amend="1"), follow=True)

    replacement = UsageEvent.objects.latest("id")
    assert done.redirect_chain == [(page_of(replacement.pk), 302)]
    assert f"Event {event_id} is voided; this one was recorded in its place." in text_of(done)
    assert f"Takes the place of Event {event_id}" in text_of(done)
    assert "root · “a typo”" in text_of(done)
    assert (replacement.quantity, replacement.subject_id, replacement.labels) == (
        250.5,
        "kim",
        {"note": "<script>", "model": "large"},
    )
    assert total_of("tokens") == 14_250.5
    voided = text_of(staff.get(page_of(event_id)))
    assert f"Recorded instead: {replacement.pk}" in voided
    assert "None any more. Until it was voided: Tokens 1,000" in voided


def test_what_was_changed_since_it_was_told_is_told_again(staff: Client, world: World) -> None:
    url = amend_page(world.event.pk)
    told = staff.post(url, filled_in(staff.get(url), quantity="900", reason="a typo"))

    unseen = staff.post(url, filled_in(told, quantity="800", amend="1"))
    straight = staff.post(url, filled_in(staff.get(url), quantity="800", reason="a typo", amend="1"))

    assert "−200" in text_of(unseen)
    assert "−200" in text_of(straight)
    assert Correction.objects.count() == 0
    staff.post(url, filled_in(unseen, reason="a typo, really", amend="1"))
    assert total_of("tokens") == 14_800


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", " "),
        ("project", "nowhere"),
        ("project", ""),
        ("occurred_at", "2024-05-11"),
        ("occurred_at", "2024-05-11T12:00:00"),
        ("occurred_at", "2124-05-11T12:00:00Z"),
        ("quantity", "-1"),
        ("quantity", "1_000"),
        ("quantity", "much"),
        ("labels", "[]"),
        ("labels", "{"),
        ("labels", '{"a": 1, "a": 2}'),
        ("labels", '{"a": NaN}'),
        ("labels", '{"a": "\\u0000"}'),
        ("labels", '{"model": {"a": 1}}'),
        ("labels", "[" * 5000),
        ("subject_id", "x" * 256),
    ],
)
def test_what_cannot_be_recorded_is_said_beside_its_field(
    staff: Client, world: World, field: str, value: str
) -> None:
    url = amend_page(world.event.pk)
    sent = filled_in(staff.get(url), **{"reason": "a typo", "quantity": "900", field: value})

    response = staff.post(url, sent)

    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert 'name="amend"' not in response.content.decode()
    assert Correction.objects.count() == 0


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"quantity": "1000.00"},
        {"occurred_at": "2024-05-11T14:00:00+02:00"},
        {"labels": '{"model":"large","note":"<script>"}'},
    ],
)
def test_other_spelling_of_the_same_is_no_amendment(
    staff: Client, world: World, same: dict[str, str]
) -> None:
    url = amend_page(world.event.pk)

    response = staff.post(url, filled_in(staff.get(url), reason="a typo", **same))

    assert "Nothing is changed" in text_of(response)


def test_labels_that_python_takes_for_equal_are_told_apart(staff: Client, world: World) -> None:
    [outcome] = recorded(an_event(world.shop, labels={"flag": 1, "model": "m"}))
    url = amend_page(outcome.id)
    sent = filled_in(staff.get(url), reason="a typo", labels='{"flag": true, "model": "m"}')

    told = staff.post(url, sent)
    staff.post(url, filled_in(told, amend="1"))

    assert UsageEvent.objects.latest("id").labels == {"flag": True, "model": "m"}


def test_full_quota_refuses_unless_it_is_to_be_passed(
    staff: Client, clerk: Callable[..., Client], world: World
) -> None:
    set_quota(world.tenant, metric=world.tokens, limit=15_000)
    url = amend_page(world.event.pk)
    sent = filled_in(staff.get(url), reason="more", quantity="1001")

    refused = staff.post(url, sent)
    assert refused.context["form"].non_field_errors()
    weak = clerk("amend_usageevent")
    assert "ignore_limits" not in weak.get(url).content.decode()
    assert weak.post(url, {**sent, "ignore_limits": "on"}).context["form"].non_field_errors()
    told = staff.post(url, {**sent, "ignore_limits": "on"})
    staff.post(url, {**filled_in(told), "ignore_limits": "on", "amend": "1"})

    assert total_of("tokens") == 15_001


@pytest.mark.parametrize("is_void", [True, False])
def test_void_and_what_is_voided_are_not_amended(staff: Client, world: World, is_void: bool) -> None:
    void_id = a_void_of(world.event.pk)

    response = staff.get(amend_page(void_id if is_void else world.event.pk), follow=True)

    assert "isn&#x27;t amended" in text_of(response)


# -- the account -------------------------------------------------------------------------------------------


def listed(client: Client, **query: object) -> list[int]:
    response = client.get(reverse(CORRECTIONS), query)
    assert response.status_code == 200
    return [correction.event for correction in response.context["cl"].result_list]


def test_corrections_are_listed_newest_first_and_lead_to_the_ledger(onlooker: Client, world: World) -> None:
    first, second = [row_id for (row_id,) in ledger_rows("id")][:2]
    void_id = a_void_of(first, reason="<b>wrong</b>")
    a_void_of(second)

    page = onlooker.get(reverse(CORRECTIONS)).content.decode()

    assert listed(onlooker) == [second, first]
    assert page_of(first) in page
    assert page_of(void_id) in page
    assert "&lt;b&gt;wrong&lt;/b&gt;" in page
    assert listed(onlooker, kind__exact="amendment") == []
    assert listed(onlooker, project__id__exact=world.tenant.pk) == []
    assert listed(onlooker, project__id__exact=world.shop.pk, kind__exact="void") == [second, first]


def test_correction_is_found_by_each_row_that_it_names(staff: Client, world: World) -> None:
    url = amend_page(world.event.pk)
    told = staff.post(url, filled_in(staff.get(url), quantity="900", reason="a typo"))
    staff.post(url, filled_in(told, amend="1"))
    correction = Correction.objects.get()

    for row_id in (correction.event, correction.void, correction.replacement):
        assert listed(staff, q=str(row_id)) == [world.event.pk]
    for text in ("x", "0", "9" * 30, str(world.event.pk + 1)):
        assert listed(staff, q=text) == []


def test_page_of_a_correction_says_all_and_takes_nothing(staff: Client, world: World) -> None:
    a_void_of(world.event.pk, reason="first line\nsecond line")
    url = reverse("admin:metering_correction_change", args=[Correction.objects.get().pk])

    page = text_of(staff.get(url))

    assert "second line" in page
    assert staff.post(url, {"reason": "another"}).status_code == 403
    assert staff.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403
    assert staff.get(reverse("admin:metering_correction_add")).status_code == 403
    assert Correction.objects.get().reason == "first line\nsecond line"


def test_corrections_come_in_pages(staff: Client, world: World) -> None:
    results = recorded(*(an_event(world.shop, labels={"model": "m"}) for _ in range(60)))
    ids = [result.id for result in results]
    for event_id in ids:
        a_void_of(event_id)

    first = staff.get(reverse(CORRECTIONS))
    second = staff.get(reverse(CORRECTIONS) + first.context["cl"].older_url)

    seen = [row.event for response in (first, second) for row in response.context["cl"].result_list]
    assert seen == ids[::-1]


def test_side_bar_leads_to_corrections(staff: Client, world: World) -> None:
    assert reverse(CORRECTIONS) in staff.get(reverse("admin:index")).content.decode()
