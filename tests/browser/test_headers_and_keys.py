"""What a page is about can be read beside what can be done with it, and keys do what they promise."""

from django.urls import reverse
from playwright.sync_api import Page, expect

from metering.delivering.endpoints import add_endpoint
from metering.models import MetricDefinition
from tests.browser.sitting import Seat
from tests.factories import a_metric, a_project

NARROW = {"width": 400, "height": 800}
TITLE = "() => { const h1 = document.querySelector('h1'); return [h1.clientWidth, h1.scrollWidth]; }"


def test_title_is_read_beside_many_actions(seat: Seat) -> None:
    a_metric("a_metric_of_some_length")
    page = seat.signed_in()

    page.goto(reverse("admin:metering_metricdefinition_change", args=[MetricDefinition.objects.get().pk]))

    expect(page.get_by_role("heading", level=1)).to_contain_text("a_metric_of_some_length")
    width, needed = page.evaluate(TITLE)
    assert width == needed > 320


def test_narrow_page_of_an_endpoint_does_not_scroll_sideways(seat: Seat) -> None:
    endpoint, _secret = add_endpoint(project=a_project("acme"), url="https://example.com/hooks")
    page = seat.signed_in(viewport=NARROW)

    page.goto(reverse("admin:metering_webhookendpoint_change", args=[endpoint.pk]))

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_slash_is_promised_where_it_leads(seat: Seat) -> None:
    page = seat.signed_in()
    page.goto(reverse("admin:metering_project_changelist"))

    expect(page.locator("#changelist-search")).not_to_contain_text("/")
    page.keyboard.press("/")

    expect(page.locator("#search-everywhere")).to_be_focused()


def test_escape_closes_the_menu_and_leads_back_to_its_button(seat: Seat) -> None:
    page = seat.signed_in(viewport=NARROW)
    page.goto(reverse("admin:index"))
    page.get_by_role("button", name="Menu", exact=True).click()
    expect(page.locator("#nav-sidebar")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.locator("#nav-sidebar")).to_be_hidden()
    expect(page.get_by_role("button", name="Menu", exact=True)).to_be_focused()


def test_refused_form_leads_to_its_first_wrong_field(seat: Seat) -> None:
    page = seat.signed_in()
    page.goto(reverse("admin:metering_project_add"))
    _send(page, name="Acme", key="no key")

    expect(page.locator("#id_key")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#id_key")).to_be_focused()


def test_tabs_are_all_reached_on_a_narrow_page(seat: Seat) -> None:
    page = seat.signed_in(viewport=NARROW)
    page.goto(reverse("admin:django_celery_beat_periodictask_changelist"))

    jobs = page.locator("#tabs-items a").first.bounding_box()
    assert jobs is not None
    assert jobs["width"] > 30


def _send(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"#id_{name}").fill(value)
    page.locator("input[name=_save], button[name=_save]").first.click()
