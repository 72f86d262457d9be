"""Days as people type them: in ISO, or as the language of the page writes them. Shown they are ISO."""

import datetime as dt

import pytest
from django import forms
from django.test import Client
from django.utils import translation

from metering.admin.day_fields import DayField, says_how_days_are_written


class Form(forms.Form):
    day = DayField()
    instant = forms.SplitDateTimeField()

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            says_how_days_are_written(field)


def form_of(day: str) -> Form:
    return Form({"day": day, "instant_0": day, "instant_1": "08:00"})


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *((language, "2026-11-23") for language in ("en", "de", "fr")),
        ("de", "23.11.2026"),
        ("fr", "23/11/2026"),
    ],
)
def test_day_is_read_in_iso_and_as_the_language_writes_it(language: str, text: str) -> None:
    with translation.override(language):
        form = form_of(text)

        assert form.is_valid(), form.errors
        assert form.cleaned_data["day"] == dt.date(2026, 11, 23)
        assert form.cleaned_data["instant"].date() == dt.date(2026, 11, 23)
        assert 'value="2026-11-23"' in str(Form(initial={"day": dt.date(2026, 11, 23)})["day"])


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("en", "23.11.2026", "No day; write it like 2026-01-31."),
        ("de", "11/23/2026", "Kein Datum; schreiben Sie es wie 31.01.2026."),
        ("fr", "23.11.2026", "Ce n’est pas un jour ; écrivez-le comme 31/01/2026."),
    ],
)
def test_refusal_says_how_a_day_is_written(language: str, text: str, said: str) -> None:
    with translation.override(language):
        assert form_of(text).errors == {"day": [said], "instant": [said]}


def test_filters_and_toolbars_read_days_as_the_language_writes_them(staff: Client, world: object) -> None:
    german = {"HTTP_ACCEPT_LANGUAGE": "de"}
    usage = staff.get("/admin/metering/usagemeterrollup/usage/", {"from": "01.11.2026", "to": "23.11.2026"})

    history = staff.get("/admin/history/", {"from": "23.11.2026"}, **german)
    wrong = staff.get("/admin/history/", {"from": "gestern"}, **german)
    events = staff.get(
        "/admin/metering/usageevent/", {"occurred_at_from": "23.11.2026", "e": "1"}, follow=True, **german
    )

    assert usage.status_code == 200
    assert "ist kein Tag" not in history.content.decode()
    assert "„gestern“ ist kein Tag; schreiben Sie ihn wie 31.01.2026." in wrong.content.decode()
    assert "ist kein Datum" not in events.content.decode()
