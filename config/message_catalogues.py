"""The words of the interface in other languages: gathered from the sources, held in config/locale, compiled.

One catalogue for each language holds all apps, because one word of the trade has one translation. It lies
as `.po` among the sources; what Django reads (`.mo`) is compiled from it on each machine, without system
packages.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import unfold
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

LOCALE_DIR = Path(__file__).resolve().parent / "locale"
REPOSITORY = LOCALE_DIR.parent.parent
SOURCES = ("config", "metering", "quotas", "billing", "templates")
# The theme speaks English only; the words of its parts that are installed are translated with ours.
THEME = Path(unfold.__file__).resolve().parent
THEME_PARTS = ("*.py", "templates/**/*.html", "contrib/filters/**/*", "contrib/forms/**/*")
# Lists of packages, and parts of the theme for packages that aren't used.
LEFT_OUT = ("requirements", "import_export", "guardian", "hijack", "constance", "simple_history")
LINE_WIDTH = 110
# Name -> which arguments are the message: (1, 2) singular and plural, (1, "c") a context.
KEYWORDS: Mapping[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "EventKind": (2,),  # metering.announcing.kinds knows no Django; pages translate what it says
}
# The kinds of metering.errors and what derives from them: `Invalid("At most {most} steps.", most=20)`.
REFUSALS: Mapping[str, Any] = dict.fromkeys(
    (
        *("Invalid", "Conflict", "NotFound", "Refused", "Unavailable"),
        *("InvalidFilter", "NotANumber", "TooMuch", "__init__"),
    )
)
_JOINT = "; "  # between the messages of an error that has several
# Their refusals answer programs, which read English.
WITHOUT_REFUSALS = {"api", "demo", "admin"}
_PLACEHOLDER = re.compile(r"%\([a-z_]+\)[sd]|%[sd%]|\{[a-z_]*\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that keeps a catalogue from being whole. `message` is the English text."""

    language: str
    message: str
    fault: str


def languages() -> list[str]:
    """The codes of the languages that a catalogue exists for."""
    return sorted(path.parent.parent.name for path in LOCALE_DIR.glob("*/LC_MESSAGES/django.po"))


def gathered() -> Catalog:
    """Every message of the sources and of the theme, without translations."""
    catalogue = Catalog(charset="utf-8")
    for path in _sources():
        for message, context in _messages_of(path):
            catalogue.add(message, context=context)
    return catalogue


def _sources() -> Iterator[Path]:
    ours = [path for name in SOURCES for path in (REPOSITORY / name).rglob("*")]
    themes = [path for part in THEME_PARTS for path in THEME.glob(part)]
    for path in [*sorted(ours), *sorted(themes)]:
        is_source = path.suffix in {".py", ".html", ".txt"}
        if is_source and not any(name in str(path) for name in LEFT_OUT):
            yield path


def _messages_of(path: Path) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # Lines that look like Python, but indented as a page is.
        text = "\n".join(map(str.strip, templatize(text, origin=str(path)).splitlines()))
    is_read_by_people = path.suffix == ".py" and not WITHOUT_REFUSALS & set(path.parts)
    keywords = {**KEYWORDS, **REFUSALS} if is_read_by_people else KEYWORDS
    source = BytesIO(text.encode())
    for _line, message, _comments, context in extract("python", source, keywords=keywords):
        if message != _JOINT:
            yield message, context


def read(language: str) -> Catalog:
    """The catalogue of a language; an empty one where none exists."""
    path = _po(language)
    if not path.is_file():
        return Catalog(locale=language, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language)


def update(language: str, template: Catalog) -> Path:
    """Bring a catalogue to the messages of `template`: new ones untranslated, unused ones removed."""
    catalogue = read(language)
    merged = Catalog(locale=language, charset="utf-8", project="Meterbook", version="1")
    for message in template:
        if not message.id:
            continue
        known = catalogue.get(message.id, message.context)
        merged.add(message.id, known.string if known is not None else None, context=message.context)
    path = _po(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = BytesIO()
    write_po(written, merged, width=LINE_WIDTH, no_location=True, omit_header=False, sort_output=True)
    path.write_bytes(_without_dates(written.getvalue()))
    return path


def _without_dates(text: bytes) -> bytes:
    """A catalogue says nothing of when and by what it was written: the same messages make the same file."""
    kept = (b'"Project-Id', b'"Language:', b'"Plural-Forms:', b'"MIME', b'"Content-')
    head, _, rest = text.partition(b"\n\n")
    lines = head.split(b"\n")
    return (
        b"\n".join(line for line in lines if not line.startswith((b'"', b"#")) or line.startswith(kept))
        + b"\n\n"
        + rest
    ).lstrip(b"\n")


def compiled(language: str) -> Path:
    """Compile a catalogue to where Django reads it. Does nothing where that is newer than its source."""
    source = _po(language)
    target = source.with_suffix(".mo")
    if is_compiled(language):
        return target
    written = BytesIO()
    write_mo(written, read(language))
    # Two processes may compile at once: each writes a file of its own and puts it in place whole.
    with NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".mo", delete=False) as file:
        file.write(written.getvalue())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(target)
    return target


def is_compiled(language: str) -> bool:
    """Whether Django reads what the catalogue says now."""
    source = _po(language)
    target = source.with_suffix(".mo")
    return target.is_file() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns


def complaints(language: str, template: Catalog) -> Iterator[Complaint]:
    """What is missing, superfluous or torn in a language, seen from the sources."""
    catalogue = read(language)
    for message in template:
        if not message.id:
            continue
        known = catalogue.get(message.id, message.context)
        english = _forms(message.id)[0]
        if known is None:
            yield Complaint(language, english, "is missing")
        elif not _is_translated(known):
            yield Complaint(language, english, "is not translated")
        elif fault := _torn(known):
            yield Complaint(language, english, fault)
    for message in catalogue:
        if message.id and template.get(message.id, message.context) is None:
            yield Complaint(language, _forms(message.id)[0], "is used nowhere")


def _forms(texts: object) -> list[str]:
    """The singular and the plurals of a message or of a translation; "" for one that isn't there."""
    several = texts if isinstance(texts, tuple | list) else [texts]
    return [str(each or "") for each in several]


def _is_translated(message: Message) -> bool:
    return all(_forms(message.string)) and not message.fuzzy


def _torn(message: Message) -> str:
    """What a translation lost: a placeholder, or the line ends at its edges. Empty: nothing."""
    english = _forms(message.id)
    wanted = set(_PLACEHOLDER.findall(english[-1]))
    for place, form in enumerate(_forms(message.string)):
        found = set(_PLACEHOLDER.findall(form))
        is_singular = place == 0 and len(english) > 1  # "one day" needs no number
        if found - wanted or (wanted - found and not is_singular):
            return f"has the placeholders {sorted(found)} instead of {sorted(wanted)}"
        if (form[:1] == "\n", form[-1:] == "\n") != (english[0][:1] == "\n", english[0][-1:] == "\n"):
            return "begins or ends with another line break"
    return ""


def _po(language: str) -> Path:
    return LOCALE_DIR / language / "LC_MESSAGES" / "django.po"
