"""What the page of a draft offers: computing it again, lines, discounts, a note, discarding it."""

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from billing.invoicing.draft_edits import (
    add_discount,
    add_line,
    begin_invoice,
    discard_draft,
    remove_discount,
    remove_line,
    set_notes,
)
from billing.invoicing.runs import run_billing
from billing.models import BillingAccount, BillingRun, Invoice, ParkedAccount
from metering.answering.fences import raise_fence
from metering.clock import database_now
from metering.errors import Conflict

from .document_pages import DocumentPages, SeenForm
from .document_words import in_words, title_of
from .draft_forms import AccountForm, DiscountForm, LineForm, NotesForm


class DraftPages(DocumentPages):
    """Needs the right to change invoices. Whatever is refused because the document is issued says so."""

    def get_urls(self) -> list[Any]:
        return [
            self.page("begin/", self.begin, "begin"),
            self.page("<int:object_id>/lines/<int:line_id>/remove/", self.remove_line, "remove_line"),
            self.page(
                "<int:object_id>/discounts/<int:discount_id>/remove/", self.remove_discount, "remove_discount"
            ),
            *super().get_urls(),
        ]

    def begin(self, request: HttpRequest) -> HttpResponse:
        self.ensure(self.has_edit_permission(request))
        form = AccountForm(
            request.POST if request.method == "POST" else None,
            initial={"project": request.GET.get("project", "")},
        )
        accounts = BillingAccount.objects.select_related("project").order_by("legal_name")

        def answer(invoice: Invoice) -> HttpResponse:
            self.log_addition(request, invoice, [{"added": {}}])
            return self.done(
                request, gettext("An empty draft. Add its lines."), url=self.page_url("change", invoice.pk)
            )

        return self.ask(
            request,
            None,
            title=_("Make an invoice by hand"),
            subtitle=gettext("for lines that no plan bills"),
            sentences=[_("An empty draft, to which lines are added by hand. Billing runs leave it alone.")],
            button=_("Make the draft"),
            form=form,
            verb=lambda: begin_invoice(form.cleaned_data["project"], edited_by=request.user.get_username()),
            answer=answer,
            is_harmless=True,
            extra={"accounts": [(one.project.key, one.legal_name) for one in accounts[:200]]},
        )

    @action(description=_("Compute again"), url_path="recompute", icon="refresh", permissions=["edit"])
    def recompute(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        account = invoice.account
        sentences = [
            _("All that is due now is read from the ledger and priced anew, as a billing run does it."),
            _("What was added by hand stays. An approval of other content doesn't count any more."),
        ]
        if account.issues_automatically:
            sentences.append(
                _("This account's drafts are issued automatically, this one too, once nothing holds it back.")
            )

        def run() -> BillingRun:
            if invoice.origin != Invoice.Origin.RUN:
                raise Conflict("It was made by hand; there is nothing to compute.")
            now = database_now()
            return run_billing(
                as_of=now,
                now=now,
                trigger=BillingRun.Trigger.ADMIN,
                requested_by=request.user.get_username(),
                accounts=[account.pk],
                position=raise_fence().position,
            )

        return self.ask(
            request,
            invoice,
            title=_("Compute the draft again"),
            button=_("Compute it again"),
            sentences=sentences,
            verb=run,
            answer=lambda _run: self._computed(request, invoice),
            is_harmless=True,
        )

    def _computed(self, request: HttpRequest, invoice: Invoice) -> HttpResponse:
        """What became of the draft; a run never refuses, it parks the account with the reason."""
        parked = ParkedAccount.objects.filter(account=invoice.account_id).first()
        if parked is not None:
            messages.error(request, gettext("It couldn't be computed: %s") % parked.reason)
            return HttpResponseRedirect(self.page_url("change", invoice.pk))
        stored = Invoice.objects.filter(pk=invoice.pk).first()
        if stored is None:
            return self.done(
                request,
                gettext("Nothing is due any more: the draft is gone."),
                url=self.page_url("changelist"),
            )
        words = {
            "before": in_words(invoice.total, invoice.currency),
            "now": in_words(stored.total, stored.currency),
        }
        text = (
            gettext("Computed. It comes to %(now)s, as before.")
            if stored.total == invoice.total
            else gettext("Computed. It comes to %(now)s; before it was %(before)s.")
        )
        if not stored.is_draft:
            text = gettext("Computed and issued: %s.") % stored.number
        return self.changed(request, stored, gettext_noop("lines"), text % words)

    @action(description=_("Add a line"), url_path="add-line", icon="add", permissions=["edit"])
    def add_line(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        form = LineForm(request.POST if request.method == "POST" else None, invoice=invoice)
        sentences = []
        if invoice.is_credit_note and invoice.origin == Invoice.Origin.MANUAL:
            sentences.append(_("On this credit note amounts are positive: what the customer gets back."))
        return self.ask(
            request,
            invoice,
            title=_("Add a line"),
            button=_("Add the line"),
            sentences=sentences,
            form=form,
            verb=lambda: add_line(invoice, form.line, added_by=request.user.get_username(), seen=form.digest),
            answer=lambda line: self.changed(
                request, invoice, gettext_noop("lines"), gettext("“%s” is on the draft.") % line.name
            ),
            is_harmless=True,
            subtitle=f"{title_of(invoice)}, {invoice.currency}",
        )

    def remove_line(self, request: HttpRequest, object_id: int, line_id: int) -> HttpResponse:
        self.ensure(self.has_edit_permission(request))
        invoice = self.document(object_id)
        line = invoice.lines.filter(pk=line_id).first()
        if line is None:
            raise Http404
        return self.ask(
            request,
            invoice,
            title=_("Take a line off"),
            button=_("Take the line off"),
            facts=[(line.name, in_words(line.amount, invoice.currency))],
            verb=lambda: remove_line(invoice, line_id, removed_by=request.user.get_username()),
            answer=lambda _none: self.changed(
                request, invoice, gettext_noop("lines"), gettext("“%s” is off the draft.") % line.name
            ),
        )

    @action(description=_("Add a discount"), url_path="add-discount", icon="percent", permissions=["edit"])
    def add_discount(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        form = DiscountForm(request.POST if request.method == "POST" else None, invoice=invoice)
        return self.ask(
            request,
            invoice,
            title=_("Add a discount"),
            button=_("Add the discount"),
            sentences=[_("On the whole document, after the discounts there are: two of 10 % make 19 %.")],
            form=form,
            verb=lambda: add_discount(
                invoice, **form.given, added_by=request.user.get_username(), seen=form.digest
            ),
            answer=lambda discount: self.changed(
                request,
                invoice,
                "discounts",
                gettext("“%(name)s” comes to %(amount)s.")
                % {
                    "name": discount.name,
                    "amount": in_words(discount.amount or Decimal(0), invoice.currency),
                },
            ),
            is_harmless=True,
            subtitle=f"{title_of(invoice)}, {invoice.currency}",
        )

    def remove_discount(self, request: HttpRequest, object_id: int, discount_id: int) -> HttpResponse:
        self.ensure(self.has_edit_permission(request))
        invoice = self.document(object_id)
        discount = invoice.discounts.filter(pk=discount_id).first()
        if discount is None:
            raise Http404
        return self.ask(
            request,
            invoice,
            title=_("Take a discount off"),
            button=_("Take the discount off"),
            facts=[(discount.name, in_words(discount.amount, invoice.currency))],
            verb=lambda: remove_discount(invoice, discount_id, removed_by=request.user.get_username()),
            answer=lambda _none: self.changed(
                request, invoice, gettext_noop("discounts"), gettext("“%s” is off the draft.") % discount.name
            ),
        )

    @action(
        description=_("Note to the customer"), url_path="notes", icon="sticky_note_2", permissions=["edit"]
    )
    def edit_notes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        form = NotesForm(
            request.POST if request.method == "POST" else None,
            invoice=invoice,
            initial={"notes": invoice.notes},
        )
        return self.ask(
            request,
            invoice,
            title=_("Note to the customer"),
            button=_("Save the note"),
            form=form,
            verb=lambda: set_notes(
                invoice,
                form.cleaned_data["notes"],
                edited_by=request.user.get_username(),
                seen=form.digest,
            ),
            answer=lambda _none: self.changed(
                request, invoice, gettext_noop("notes"), gettext("The note is saved.")
            ),
            is_harmless=True,
        )

    @action(
        description=_("Discard"),
        url_path="discard",
        icon="delete",
        permissions=["edit"],
        variant=ActionVariant.DANGER,
    )
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        form = SeenForm(request.POST if request.method == "POST" else None, invoice=invoice)
        again = _("What is due is drafted anew by the next billing run; what was added by hand is gone.")
        gone = _("The draft is gone then, with all that is on it.")

        def answer(_none: None) -> HttpResponse:
            self.log_removal(request, invoice)
            text = gettext("The draft of %s is discarded.") % invoice.account.legal_name
            return self.done(request, text, url=self.page_url("changelist"))

        return self.ask(
            request,
            invoice,
            title=_("Discard the draft"),
            button=_("Discard the draft"),
            sentences=[again if invoice.origin == Invoice.Origin.RUN else gone],
            facts=[(_("Total"), in_words(invoice.total, invoice.currency))],
            form=form,
            verb=lambda: discard_draft(invoice, seen=form.digest),
            answer=answer,
        )
