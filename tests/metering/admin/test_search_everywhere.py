"""One box finds what the kernel knows, for each person what that person may see."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.admin.event_search import ids_of_events_called
from metering.admin.searching import Asked
from metering.models import Export
from tests.factories import a_project, an_event, recorded

from .conftest import World

SEARCH = "/admin/search/"


def found(client: Client, text: str) -> dict[str, list[str]]:
    """What the page of results lists: titles with their details, by kind."""
    response = client.get(SEARCH, {"q": text})
    assert response.status_code == 200
    return {
        str(kind.title): [f"{shown.hit.title} | {shown.hit.detail}" for shown in hits]
        for kind, hits in response.context["groups"]
    }


def words_of(response: Any) -> str:
    page = re.sub(r"<(script|style|nav)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def staff_with(*codenames: str) -> Client:
    user = User.objects.create_user("kim", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def test_a_project_is_found_by_a_part_of_its_key_or_name(staff: Client, world: World) -> None:
    by_key, by_name = found(staff, "SHO"), found(staff, "the sh")

    assert by_key["Projects"] == by_name["Projects"] == ["The shop | shop · Project"]


def test_an_exact_key_stands_before_longer_ones(staff: Client, world: World) -> None:
    a_project("a-shop", name="Another shop")

    response = staff.get(SEARCH, {"q": "shop"})

    assert found(staff, "shop")["Projects"] == [
        "The shop | shop · Project",
        "Another shop | a-shop · Project",
    ]
    assert response.context["meant"].title == "The shop"


def test_an_event_is_found_by_its_ledger_id_and_by_its_event_id(staff: Client, world: World) -> None:
    event = world.event

    by_id, by_event_id = found(staff, str(event.pk)), found(staff, " req-1\n")

    assert (
        by_id["Usage events"]
        == by_event_id["Usage events"]
        == [f"tokens · req-1 | {event.pk} · shop · api · 2024-05-11 12:00 UTC"]
    )


def test_an_event_id_may_stand_behind_its_project(staff: Client, world: World) -> None:
    other = a_project("other")
    recorded(an_event(other, id="req-1"))

    everywhere, within = found(staff, "req-1"), found(staff, "shop req-1")

    assert len(everywhere["Usage events"]) == 2
    assert [hit.split(" · ")[2] for hit in within["Usage events"]] == ["shop"]
    assert "Usage events" not in found(staff, "nowhere req-1")


def test_enter_goes_straight_to_what_an_id_names(staff: Client, world: World) -> None:
    straight = staff.get(SEARCH, {"q": "req-1", "go": "1"})
    looked_at = staff.get(SEARCH, {"q": "req-1"})

    assert straight.status_code == 302
    assert straight.url == reverse("admin:metering_usageevent_change", args=[world.event.pk])
    assert looked_at.status_code == 200


def test_enter_shows_the_choice_where_a_text_names_several_things(staff: Client, world: World) -> None:
    recorded(an_event(a_project("other"), id="req-1"))

    response = staff.get(SEARCH, {"q": "req-1", "go": "1"})

    assert response.status_code == 200
    assert "2 results for “req-1”" in words_of(response)


def test_metrics_keys_files_and_pages_are_found(staff: Client, world: World) -> None:
    export = Export.objects.create(kind="usage_events", requested_by="ada")

    assert found(staff, "tokens")["Metrics"] == ["Tokens | tokens", "peak | peak"]
    assert found(staff, f"mbk_{world.key.key_id[:5]}")["API keys"] == [
        f"Backend | {world.key.shown_prefix}… · tenant"
    ]
    assert found(staff, f"usage-events-{export.pk}.csv")["Exports"] == [
        f"usage-events-{export.pk}.csv | ada · {export.requested_at:%Y-%m-%d}"
    ]
    assert found(staff, "thresholds")["Pages"] == ["Thresholds | Limits", "History of thresholds | Limits"]
    assert found(staff, "what if")["Pages"] == ["What if | Billing"]
    assert found(staff, "root")["Users"] == ["root | "]


def test_the_secret_of_a_pasted_key_is_dropped(staff: Client, world: World) -> None:
    response = staff.get(SEARCH, {"q": f"{world.key.shown_prefix}.very-secret"})

    assert "very-secret" not in response.content.decode()
    assert response.context["meant"].title == "Backend"


def test_only_what_one_may_see_is_found_and_offered(world: World) -> None:
    clerk = staff_with("view_project")

    response = clerk.get(SEARCH)

    assert found(clerk, "req-1") == {}
    assert found(clerk, "shop") == {"Projects": ["The shop | shop · Project"]}
    assert found(clerk, "tokens") == {}
    assert found(clerk, "kim") == {}
    assert found(clerk, "limits") == {}
    assert [str(kind) for kind, _by, _example in response.context["examples"]] == ["Projects", "Pages"]


def test_nobody_searches_without_signing_in(client: Client, world: World) -> None:
    response = client.get(SEARCH, {"q": "shop", "suggest": "1"})

    assert response.status_code == 302
    assert response.url.startswith(reverse("admin:login"))


RUBBISH = [
    "%",
    "_",
    "\\",
    "'; DROP TABLE metering_project; --",
    "\x00",
    "re\x00q-1\u200b",
    "9" * 30,
    "x" * 401,
    "a " * 200,
    "<script>alert(1)</script>",
    '"',
    "٤٢",
    "-1",
    "1e9",
    "mbk_.",
]


def test_rubbish_is_an_answer_without_meaning(staff: Client, world: World) -> None:
    for text in RUBBISH:
        for how in ({}, {"go": "1"}, {"suggest": "1"}):
            response = staff.get(SEARCH, {"q": text, **how})

            assert response.status_code in {200, 302}, text
            assert b"<script>alert(1)" not in response.content

    assert staff.get(SEARCH + "?q=%ff%fe%ed%a0%80").status_code == 200


def test_wildcards_stand_for_themselves(staff: Client, world: World) -> None:
    assert found(staff, "%") == {}
    assert found(staff, "sh_p") == {}


def test_what_matches_is_marked_and_everything_escaped(staff: Client, world: World) -> None:
    a_project("odd", name="<b>Odd</b> & sons")

    page = staff.get(SEARCH, {"q": "odd"}).content.decode()

    assert "&lt;b&gt;<mark>Odd</mark>&lt;/b&gt; &amp; sons" in page


def test_more_than_ten_lead_to_their_list(staff: Client, world: World) -> None:
    for number in range(11):
        a_project(f"many-{number:02}")

    response = staff.get(SEARCH, {"q": "many"})

    assert len(found(staff, "many")["Projects"]) == 10
    assert "the first 10 of more · all in their list" in words_of(response)
    assert "/admin/metering/project/?q=many" in response.content.decode()


def test_an_empty_box_says_what_can_be_found(staff: Client) -> None:
    page = words_of(staff.get(SEARCH))

    assert "Customers legal name, project, tax id or e-mail Acme GmbH" in page
    assert "Invoices and credit notes number or its beginning; a draft by its id INV-000042" in page


def test_a_search_without_hits_says_so(staff: Client, world: World) -> None:
    assert "Nothing is called “nosuch”" in words_of(staff.get(SEARCH, {"q": "nosuch"}))
    assert "Nothing has so long a name" in words_of(staff.get(SEARCH, {"q": "x" * 401}))
    assert "Nothing is called “nosuch”" in words_of(staff.get(SEARCH, {"q": "nosuch", "suggest": "1"}))


def test_every_page_has_the_box_but_the_page_of_results_only_its_own(staff: Client, world: World) -> None:
    box = '<form class="mb-search'

    home = staff.get(reverse("admin:index")).content.decode()
    listed = staff.get(reverse("admin:metering_usageevent_changelist")).content.decode()
    results = staff.get(SEARCH, {"q": "shop"}).content.decode()

    assert home.count(box) == listed.count(box) == results.count(box) == 1


def test_what_was_found_is_kept_by_no_cache(staff: Client, world: World) -> None:
    assert "no-store" in staff.get(SEARCH, {"q": "shop"})["Cache-Control"]


def test_events_are_looked_up_through_indexes_alone(staff: Client, world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name,
                                             labels, occurred_at, recorded_at, digest)
            SELECT %s, %s, 'gw', 'ev-' || n, 'tokens', '{}', now(), now(), '\\x00'
              FROM generate_series(1, 5000) n
            """,
            [world.shop.pk, world.shop.pk],
        )
        cursor.execute("ANALYZE metering_usageevent")

    with CaptureQueriesContext(connection) as asked:
        assert len(ids_of_events_called("ev-4711")) == 1
        assert len(ids_of_events_called("ev-4711", project_id=world.shop.pk)) == 1
    with connection.cursor() as cursor:
        for query in asked.captured_queries:
            cursor.execute("EXPLAIN " + query["sql"])
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "usage_event_recorded_once" in plan
            assert "Seq Scan on metering_usageevent" not in plan


def test_where_there_are_many_projects_an_event_id_needs_its_project(world: World) -> None:
    everywhere = ids_of_events_called("req-1", most_projects=1)
    within = ids_of_events_called("req-1", project_id=world.shop.pk, most_projects=1)
    by_ledger_id = ids_of_events_called(str(world.event.pk), most_projects=1)

    assert everywhere == []
    assert within == by_ledger_id == [world.event.pk]


@pytest.mark.parametrize(("text", "count"), [("shop", 16), ("req-1", 18), ("42", 17), ("shop req-1", 17)])
def test_a_search_takes_few_queries(onlooker: Client, world: World, text: str, count: int) -> None:
    """The onlooker may see everything, so that every search is asked."""
    found(onlooker, text)

    with CaptureQueriesContext(connection) as asked:
        onlooker.get(SEARCH, {"q": text})

    assert len(asked) == count


def test_text_is_cleaned_of_what_can_not_be_seen() -> None:
    assert Asked.from_text("  a\tb\u00a0c\u200bd\x00 ", most=1).text == "a b cd"
    assert Asked.from_text("mbk_abc.secret x", most=1).text == "mbk_abc x"
