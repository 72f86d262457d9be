"""Recording what was received for an invoice, and taking back what was recorded by mistake."""

import datetime as dt
import uuid
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.models import Invoice, Payment
from billing.money import amount_text
from billing.settling.payments import (
    BY_HAND,
    REFERENCE_LENGTH,
    Recorded,
    credit_from,
    record_payment,
    take_back_payment,
)
from metering.admin.day_fields import DayField
from metering.admin.number_fields import NumberField
from metering.clock import database_now

from .document_pages import DocumentPages, RefusableForm, today_of
from .document_words import in_words, lateness


class PaymentForm(RefusableForm):
    """`key` is made with the page, so that sending the form twice records one payment."""

    amount = NumberField(label=_("Amount"), max_digits=28)
    received_on = DayField(label=_("Received on"))
    method = forms.ChoiceField(
        label=_("Method"),
        choices=[(value, Payment.Method(value).label) for value in BY_HAND],
        widget=UnfoldAdminSelectWidget(),
    )
    reference = forms.CharField(
        label=_("Reference"),
        required=False,
        max_length=REFERENCE_LENGTH,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("As it stands on the statement."),
    )
    excess_to_credit = forms.BooleanField(
        label=_("More than is open becomes credit"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_("Otherwise a larger amount is refused. Credit pays the account's next invoices."),
    )
    key = forms.CharField(required=False, max_length=REFERENCE_LENGTH, widget=forms.HiddenInput())


class TakeBackForm(RefusableForm):
    received_on = DayField(
        label=_("On"),
        help_text=_("The day it bounced or was returned."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("For colleagues and auditors. Both entries stay on record."),
    )


class PaymentPages(DocumentPages):
    """Needs the right to add payments."""

    def get_urls(self) -> list[Any]:
        view = self.take_back_payment
        route = "<int:object_id>/payments/<int:payment_id>/take-back/"
        return [self.page(route, view, "take_back_payment"), *super().get_urls()]

    @action(description=_("Record a payment"), url_path="pay", icon="payments", permissions=["pay"])
    def record_payment(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice, now = self.document(object_id), database_now()
        refusal = self.not_issued(request, invoice)
        if refusal is not None:
            return refusal
        today = today_of(invoice, now)
        form = PaymentForm(
            request.POST if request.method == "POST" else None,
            initial={
                "amount": amount_text(max(invoice.open_amount, 0), invoice.currency),
                "received_on": today,
                "key": f"page-{uuid.uuid4()}",
            },
        )

        def answer(recorded: Recorded) -> HttpResponse:
            text = gettext("%s are recorded.") % in_words(recorded.payment.amount, invoice.currency)
            if recorded.to_credit:
                text += " " + gettext("%s became credit of the account.") % in_words(
                    recorded.to_credit, invoice.currency
                )
            return self.changed(request, invoice, gettext_noop("payments"), text)

        return self.ask(
            request,
            invoice,
            title=_("Record a payment"),
            button=_("Record the payment"),
            facts=[
                (_("To be paid"), in_words(invoice.amount_due, invoice.currency)),
                (_("Paid so far"), in_words(invoice.paid_amount, invoice.currency)),
                (_("Open"), in_words(invoice.open_amount, invoice.currency)),
                (_("Due"), f"{invoice.due_on} ({lateness(invoice.due_on, on=today)})"),
            ],
            form=form,
            verb=lambda: record_payment(
                invoice, **form.cleaned_data, recorded_by=request.user.get_username(), now=now
            ),
            answer=answer,
            is_harmless=True,
        )

    def take_back_payment(self, request: HttpRequest, object_id: int, payment_id: int) -> HttpResponse:
        self.ensure(self.has_pay_permission(request))
        invoice = self.document(object_id)
        payment = invoice.payments.filter(pk=payment_id).first()
        if payment is None:
            raise Http404
        today: dt.date = today_of(invoice, database_now())
        form = TakeBackForm(
            request.POST if request.method == "POST" else None, initial={"received_on": today}
        )
        amount = in_words(payment.amount, invoice.currency)
        return self.ask(
            request,
            invoice,
            title=_("Take a payment back"),
            button=_("Take the payment back"),
            sentences=[gettext("%s are open again.") % amount, _credit_words(payment, invoice)],
            facts=[
                (payment.get_method_display(), amount),
                (_("Received on"), payment.received_on),
                (_("Reference"), payment.reference or "–"),
            ],
            form=form,
            verb=lambda: take_back_payment(
                payment, **form.cleaned_data, recorded_by=request.user.get_username()
            ),
            answer=lambda _taken: self.changed(
                request,
                invoice,
                gettext_noop("payments"),
                gettext("The payment of %s is taken back.") % amount,
            ),
        )


def _credit_words(payment: Payment, invoice: Invoice) -> str:
    """What else came with the payment: credit, which is taken back with it."""
    grant = credit_from(payment)
    if grant is None:
        return ""
    return gettext(
        "%s more were received with it and became credit of the account; what is left of that is withdrawn, "
        "too."
    ) % in_words(grant.amount, invoice.currency)
