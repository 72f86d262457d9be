"""The PDF: the same bytes from the same rows, as many pages as it takes, whatever the texts."""

from dataclasses import replace

import pytest
from reportlab.pdfbase import pdfmetrics

from billing.documents.document_view import document_view
from billing.documents.lettering import BOLD, MEDIUM, REGULAR, fonts, marked_up
from billing.documents.line_views import Block, LineView, Section
from billing.documents.pdf import pdf_from, pdf_of
from billing.invoicing.voiding import void
from billing.models import Invoice
from tests.billing.documents.documents import a_rich_draft, a_simple_invoice, texts_of
from tests.factories import at


@pytest.fixture
def simple() -> Invoice:
    return a_simple_invoice()


def pages_of(content: bytes) -> int:
    return content.count(b"/Type /Page\n") + content.count(b"/Type /Page ")


@pytest.mark.django_db
def test_same_rows_make_the_same_bytes(simple):
    first = pdf_of(simple)
    pdf_of(void(simple, now=at("2026-04-02T00:00:00Z"), reason="Wrong.", voided_by="ada"))

    assert pdf_of(Invoice.objects.get(pk=simple.pk)) == first
    assert first.startswith(b"%PDF-1.")
    assert pages_of(first) == 1


@pytest.mark.django_db
def test_invoice_says_number_amounts_and_page(simple):
    texts = texts_of(document_view(simple))

    assert {"Invoice", "INV-000001", "Acme Chat GmbH", "12,342.35", "VAT 19% of 12,402.35"} <= set(texts)
    assert texts.count("14,758.80 EUR") == 2  # on top, and below the lines
    assert "Due within 30 days, by 1 May 2026." in texts
    assert "Page 1 of 1" in texts
    assert "DRAFT" not in texts


@pytest.mark.django_db
def test_draft_is_marked_on_each_page():
    view = document_view(a_rich_draft())

    texts = texts_of(view)

    pages = [text for text in texts if text.startswith("Page ")]
    assert texts.count("DRAFT") == len(pages)
    assert "Draft, not issued" in texts
    assert "Corrections of earlier periods" in texts
    assert "2,503.57 EUR" in texts


@pytest.mark.django_db
def test_credit_note_says_what_it_credits(simple):
    note = void(simple, now=at("2026-04-02T00:00:00Z"), reason="Wrong company.", voided_by="ada")

    texts = texts_of(document_view(note))

    assert {"Credit note", "CN-000001", "INV-000001", "Wrong company.", "14,758.80 EUR"} <= set(texts)
    assert "Amount due" not in texts


@pytest.mark.django_db
def test_labels_stand_on_one_line(simple):
    """None is broken within a word, which happens to words that are longer than their column."""
    note = void(simple, now=at("2026-04-02T00:00:00Z"), reason="Wrong company.", voided_by="ada")
    texts = {*texts_of(document_view(simple)), *texts_of(document_view(note))}

    labels = {
        *("Date of issue", "Due", "Billing period", "Credits invoice", "Account"),
        *("Billed to", "Credited to", "Amount due", "Credited", "Payment", "Reason"),
        *("Description", "Quantity", "Unit price", "Amount (EUR)", "Subtotal", "Total"),
    }
    assert labels - texts == set()


@pytest.mark.django_db
def test_three_hundred_lines_repeat_the_head_of_the_table(simple):
    lines = [LineView(f"Tokens {n}", "region: eu", "1", "token", "0.10", "0.10") for n in range(300)]
    view = replace(document_view(simple), sections=[Section("Team", "1–31 March 2026", [Block("", lines)])])

    texts = texts_of(view)

    page_count = texts.count("Description")
    assert page_count == 14
    assert [text for text in texts if text.startswith("Page ")] == [f"Page {n} of 14" for n in range(1, 15)]
    assert [text for text in texts if text.startswith("Tokens ")] == [f"Tokens {n}" for n in range(300)]


@pytest.mark.django_db
def test_texts_at_their_longest_stay_on_the_paper(simple):
    view = document_view(simple)
    word = "W" * 200
    line = LineView("N" * 300, "x" * 300, "−" + "9" * 26, "u" * 100, "0." + "1" * 12, "−" + "9" * 24 + ".99")
    view = replace(
        view,
        seller=replace(view.seller, name=word, address=[word] * 7, email=f"{'e' * 240}@example.com"),
        customer=replace(view.customer, name=word, address=[word] * 7),
        account=word,
        reason="R" * 2000,
        is_credit_note=True,
        sections=[Section("P" * 200, "1–31 March 2026", [Block("B" * 500, [line] * 3)])],
        notes="n\n" * 1000,
        payment_details="p\n" * 500,
        footer="f" * 1000,
        subtotal="9" * 26 + ".99",
        total="−" + "9" * 26 + ".99",
    )

    assert pages_of(pdf_from(view)) == 32


@pytest.mark.django_db
def test_any_text_can_be_a_name(simple):
    stored = document_view(simple)
    for name in (
        "<script>alert(1)</script> & <b>Söhne</b>\r\nBcc: x@example.com",
        "株式会社テスト 한국 주식회사 北京有限公司",
        "ООО Ромашка Ελληνική Εταιρεία שלום עולם",
        "ไทย \x00\x07\u202e\ud83d party 🎉",
        "",
    ):
        view = replace(stored, customer=replace(stored.customer, name=name))
        view = replace(view, notes=name, footer=name, reason=name, payment_details=name)

        assert pages_of(pdf_from(view)) == 1


def test_letters_are_named_a_font_that_has_them():
    assert marked_up("Łódź Ромашка Ελλάδα") == "Łódź Ромашка Ελλάδα"
    assert marked_up("A 株式会社テスト") == 'A <font name="HeiseiKakuGo-W5">株式会社テスト</font>'
    assert marked_up("北京") == '<font name="STSong-Light">北京</font>'
    assert marked_up("한국") == '<font name="HYGothic-Medium">한국</font>'
    assert marked_up("a<b> & שלום\r\n🎉") == "a&lt;b&gt; &amp; ???? ?"
    assert marked_up("x\u202ey\x00z") == "xyz"


def test_digits_are_equally_wide():
    fonts()

    for name in (REGULAR, MEDIUM, BOLD):
        widths = {pdfmetrics.stringWidth(digit, name, 1000) for digit in "0123456789"}
        assert widths == {560}
