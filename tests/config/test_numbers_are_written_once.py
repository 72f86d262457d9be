"""No page formats numbers by itself: metering.numerals knows the language of the page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ADMIN = sorted(
    path
    for folder in ("config", "metering/admin", "quotas/admin", "billing/admin")
    for path in (REPOSITORY / folder).rglob("*.py")
    if folder != "config" or "admin" in path.name or "staff" in path.parts
)
TEMPLATES = sorted((REPOSITORY / "templates" / "admin").rglob("*.html"))
# Lengths for a style sheet or a drawing, which have a point in every language.
DRAWN = {
    ("metering/admin/home_usage.py", ".1f"),
    ("metering/admin/payer_tree.py", ".2f"),
    ("metering/admin/payer_tree.py", "g"),
    ("quotas/admin/meters.py", ".1f"),
    ("billing/admin/money_words.py", ".1f"),
    ("billing/admin/overview.py", ".1f"),
    ("billing/admin/price_preview.py", ".1f"),
}
NUMERIC = re.compile(r"[,_]|\.[0-9]+[fFeEgG%]|^[nfFeEgG%]$")
FILTERS = re.compile(r"\|\s*(intcomma|floatformat|stringformat|localize|intword)\b|\bload\b[^%]*\bhumanize\b")


def formats_of(path: Path) -> Iterator[str]:
    """The specifications by which f-strings, format() and % of a module write numbers."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            spec = "".join(
                str(part.value) for part in node.format_spec.values if isinstance(part, ast.Constant)
            )
            if NUMERIC.search(spec) and "%Y" not in spec and "%H" not in spec and "%m" not in spec:
                yield spec
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "format" and len(node.args) == 2:
            spec = getattr(node.args[1], "value", "")
            if isinstance(spec, str) and "," in spec:
                yield spec
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"%(?:\([a-z_]+\))?\.[0-9]+[fFeEgG]", node.value)


def test_modules_of_pages_write_numbers_by_numerals_alone() -> None:
    found = {(path.relative_to(REPOSITORY).as_posix(), spec) for path in ADMIN for spec in formats_of(path)}

    assert found == DRAWN


def test_templates_of_pages_write_numbers_by_numerals_alone() -> None:
    found = [path.name for path in TEMPLATES if FILTERS.search(path.read_text())]

    assert len(TEMPLATES) > 50
    assert found == []


def test_pages_use_no_words_of_documents_and_mails() -> None:
    words = (
        "billing.documents.document_words import grouped",
        "alert_words import number_words",
        "amount_words",
    )

    assert [path.name for path in ADMIN for each in words if each in path.read_text()] == []


def test_a_module_that_formats_by_itself_is_found(tmp_path: Path) -> None:
    module = tmp_path / "page.py"
    module.write_text(
        'a = f"{x:,}"\nb = f"{y:.1%}"\nc = format(z, ",f")\nd = "%.2f" % x\ne = f"{day:%Y-%m-%d}"\n'
    )

    assert sorted(formats_of(module)) == ["%.2f", ",", ",f", ".1%"]
