"""The sidebar and the pages that it leads to call things the same; the page of an app is Home."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("quotas_quotachange", "History of quotas"),
        ("billing_periodcorrection", "Corrections of periods"),
        ("billing_numberseries", "Number series"),
        ("billing_creditgrant", "Prepaid credit"),
        ("django_celery_beat_periodictask", "Schedule"),
    ],
)
def test_page_is_titled_as_in_the_sidebar(staff: Client, page: str, title: str) -> None:
    html = staff.get(reverse(f"admin:{page}_changelist")).content.decode()

    header = html[html.index('id="header-inner"') : html.index('id="content"')]
    assert f"<title>{title} | Meterbook</title>" in " ".join(html.split()).replace("> ", ">").replace(
        " <", "<"
    )
    assert title in re.sub(r"\s+", " ", header)


def test_page_of_an_app_leads_home(staff: Client) -> None:
    response = staff.get("/admin/billing/")

    assert (response.status_code, response["Location"]) == (302, reverse("admin:index"))
    assert staff.get(reverse("admin:billing_invoice_changelist")).status_code == 200


def test_refused_sign_in_is_said_once(client: Client) -> None:
    page = client.post(reverse("admin:login"), {"username": "kim", "password": "wrong"}).content.decode()

    assert "Please correct the error below" not in page
    assert "correct username and password" in page
