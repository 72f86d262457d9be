"""Translations are whole: nothing is missing, nothing is left over, no placeholder is lost."""

import gettext
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from django.core.management import CommandError, call_command

from config import message_catalogues
from config.checks import translations_are_compiled
from config.message_catalogues import Complaint, compiled, complaints, gathered, read, update

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'


@pytest.fixture
def locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of catalogues in which German translates two messages."""
    monkeypatch.setattr(message_catalogues, "LOCALE_DIR", tmp_path)
    (tmp_path / "de" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "de" / "LC_MESSAGES" / "django.po").write_text(
        HEADER
        + 'msgid "Invoice"\nmsgstr "Rechnung"\n\n'
        + 'msgid "%(count)s day"\nmsgid_plural "%(count)s days"\n'
        + 'msgstr[0] "ein Tag"\nmsgstr[1] "%(count)s Tage"\n'
    )
    return tmp_path


def template_of(*messages: str | tuple[str, str]) -> Catalog:
    template = Catalog(charset="utf-8")
    for message in messages:
        template.add(message)
    return template


DAYS = ("%(count)s day", "%(count)s days")


def test_messages_of_code_pages_and_mails_are_gathered() -> None:
    messages = gathered()

    assert messages.get("Who pays for what") is not None  # config/admin_theme.py
    assert messages.get("%(count)d hour") is not None
    assert messages.get("%(count)d hour").id == ("%(count)d hour", "%(count)d hours")
    assert messages.get("Meterbook records usage; `name` isn't a message") is None


def test_each_fault_is_named(locale: Path) -> None:
    po = locale / "de" / "LC_MESSAGES" / "django.po"
    po.write_text(
        po.read_text()
        + '\nmsgid "Paid %(amount)s"\nmsgstr "Bezahlt"\n'
        + '\nmsgid "Draft"\nmsgstr ""\n'
        + '\nmsgid "Gone"\nmsgstr "Weg"\n'
        + '\n#, fuzzy\nmsgid "Guess"\nmsgstr "Rate"\n'
        + '\nmsgid "\\nTwo lines\\n"\nmsgstr "Zwei Zeilen"\n'
    )

    found = list(
        complaints(
            "de",
            template_of("Invoice", DAYS, "Paid %(amount)s", "Draft", "Guess", "New", "\nTwo lines\n"),
        )
    )

    assert found == [
        Complaint("de", "Paid %(amount)s", "has the placeholders [] instead of ['%(amount)s']"),
        Complaint("de", "Draft", "is not translated"),
        Complaint("de", "Guess", "is not translated"),
        Complaint("de", "New", "is missing"),
        Complaint("de", "\nTwo lines\n", "begins or ends with another line break"),
        Complaint("de", "Gone", "is used nowhere"),
    ]


def test_a_singular_may_do_without_its_number_but_not_the_plural(locale: Path) -> None:
    assert list(complaints("de", template_of("Invoice", DAYS))) == []
    po = locale / "de" / "LC_MESSAGES" / "django.po"
    po.write_text(po.read_text().replace("%(count)s Tage", "%(number)s Tage"))

    (found,) = complaints("de", template_of("Invoice", DAYS))

    assert found.fault == "has the placeholders ['%(number)s'] instead of ['%(count)s']"


def test_an_update_keeps_translations_adds_what_is_new_and_drops_what_is_gone(locale: Path) -> None:
    path = update("de", template_of("Invoice", "Draft"))

    assert [(each.id, each.string) for each in read("de") if each.id] == [
        ("Draft", ""),
        ("Invoice", "Rechnung"),
    ]
    assert "POT-Creation-Date" not in path.read_text()


def test_the_same_messages_make_the_same_file(locale: Path) -> None:
    first = update("de", template_of("Invoice", DAYS)).read_bytes()

    assert update("de", template_of(DAYS, "Invoice")).read_bytes() == first


def test_what_is_compiled_is_read_and_follows_its_source(locale: Path) -> None:
    with compiled("de").open("rb") as file:
        assert (
            gettext.GNUTranslations(file).ngettext("%(count)s day", "%(count)s days", 2) == "%(count)s Tage"
        )
    assert translations_are_compiled() == []
    po = locale / "de" / "LC_MESSAGES" / "django.po"
    po.write_text(po.read_text().replace("Rechnung", "Faktura"))

    (warning,) = translations_are_compiled()

    assert warning.id == "config.W001"
    with compiled("de").open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("Invoice") == "Faktura"


def test_the_command_fails_where_a_catalogue_lacks_messages(
    locale: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="faults in the translations"):
        call_command("translations", "check")
