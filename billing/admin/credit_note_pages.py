"""Beginning a credit note for part of an issued invoice: chosen lines, amounts, a reason."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from billing.documents.document_words import days_words
from billing.invoicing.draft_edits import NAME_LENGTH, ManualLine, begin_credit_note
from billing.models import MAX_MANUAL_LINES, Invoice, InvoiceLine
from billing.money import amount_text
from metering.admin import cells
from metering.admin.number_fields import NumberField
from metering.texts.numbers import EXACT

from .document_pages import DocumentPages, RefusableForm
from .document_words import bare, days_in_words, in_words

LINES_TEMPLATE = "admin/billing/invoice/credit_lines.html"


class CreditNoteForm(RefusableForm):
    """A tick and an amount for each line that can be credited, and the reason."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("The customer reads it on the credit note."),
    )

    def __init__(self, data: Any, *, lines: Sequence[InvoiceLine], currency: str) -> None:
        super().__init__(data)
        self.lines = lines
        for line in lines:
            self.fields[f"take_{line.pk}"] = forms.BooleanField(required=False)
            self.fields[f"amount_{line.pk}"] = NumberField(
                required=False,
                max_digits=28,
                label=line.name,
                initial=amount_text(line.net_amount, currency),
            )

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        taken = [line for line in self.lines if given.get(f"take_{line.pk}")]
        for line in taken:
            if given.get(f"amount_{line.pk}") is None and f"amount_{line.pk}" not in self.errors:
                self.add_error(f"amount_{line.pk}", _("Say how much of it."))
        if not taken:
            self.add_error(None, gettext("Tick the lines to be credited."))
        return given

    @property
    def credits(self) -> list[ManualLine]:
        return [
            ManualLine(
                name=_named(line),
                amount=self.cleaned_data[f"amount_{line.pk}"],
                reason=f"Line {line.position} of the invoice.",
                credits=line,
            )
            for line in self.lines
            if self.cleaned_data.get(f"take_{line.pk}")
        ]

    def rows(self, currency: str) -> list[dict[str, Any]]:
        """As the page shows them, each with its two fields."""
        return [
            {
                "name": line.name,
                "words": " · ".join(filter(None, _where(line))),
                "billed": bare(line.net_amount, currency),
                "take": self[f"take_{line.pk}"],
                "amount": self[f"amount_{line.pk}"],
                "is_taken": bool(self[f"take_{line.pk}"].value()),
            }
            for line in self.lines
        ]


class CreditNotePages(DocumentPages):
    """Needs the right to change invoices; issuing the note is a step of its own, with its own right."""

    @action(description=_("Credit note"), url_path="credit", icon="assignment_return", permissions=["edit"])
    def begin_credit_note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_issued(request, invoice)
        if refusal is not None:
            return refusal
        lines = [line for line in invoice.lines.order_by("position") if line.net_amount > 0]
        form = CreditNoteForm(
            request.POST if request.method == "POST" else None, lines=lines, currency=invoice.currency
        )

        def answer(note: Invoice) -> HttpResponse:
            self.log_addition(request, note, [{"added": {}}])
            text = gettext("A draft of %s, tax included. Look at it and issue it.") % in_words(
                EXACT.minus(note.total), note.currency
            )
            return self.done(request, text, url=self.page_url("change", note.pk))

        credited = Invoice.objects.filter(credits=invoice).aggregate(total=Sum("total"))["total"] or Decimal(
            0
        )
        left = max(EXACT.add(invoice.total, credited), Decimal(0))
        return self.ask(
            request,
            invoice,
            title=_("Begin a credit note"),
            button=_("Make the draft"),
            sentences=[
                _("Amounts are net; each line keeps the taxes that it was billed with."),
                _("Once issued, it settles what is open; the rest becomes credit of the account."),
            ],
            facts=[
                (_("Invoice, tax included"), in_words(invoice.total, invoice.currency)),
                (_("Left to credit, tax included"), in_words(left, invoice.currency)),
            ],
            obstacle="" if left else gettext("It is credited in full already."),
            form=form,
            verb=lambda: begin_credit_note(
                invoice,
                lines=form.credits,
                reason=form.cleaned_data["reason"],
                edited_by=request.user.get_username(),
            ),
            answer=answer,
            is_harmless=True,
            template=LINES_TEMPLATE,
            extra={
                "rows": form.rows(invoice.currency),
                "currency": invoice.currency,
                "most": MAX_MANUAL_LINES,
            },
        )


def _named(line: InvoiceLine) -> str:
    """The line's name with its days as documents write them, so that the customer finds it on the invoice."""
    days = days_words(line.service_start_on, line.service_end_on)
    return (f"{line.name}, {days}" if days else line.name)[:NAME_LENGTH]


def _where(line: InvoiceLine) -> tuple[str, ...]:
    """What tells lines of one name apart."""
    days = days_in_words(line.service_start_on, line.service_end_on)
    labels = ", ".join(f"{name}: {text or cells.DASH}" for name, text in sorted(line.group.items()))
    return line.plan_name, days, line.project_key, labels
