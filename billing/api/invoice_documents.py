"""The shapes of invoices and credit notes and of requests that change them, for the OpenAPI schema."""

from typing import Any

from rest_framework import serializers

from billing.invoicing.standing import Status
from billing.models import MAX_MANUAL_LINES, Invoice, InvoiceLine, Payment
from billing.settling.payments import BY_HAND


def money(help_text: str = "", **options: Any) -> serializers.CharField:
    return serializers.CharField(help_text=help_text or "Decimal string in major units.", **options)


class TaxDocument(serializers.Serializer):
    name = serializers.CharField()
    percent = serializers.CharField()
    amount = money()


class TaxTotalDocument(TaxDocument):
    base = money("What it is taken of.")


class LineEvidenceDocument(serializers.Serializer):
    """Which events a line is made of: those that this selects at this position, so many, of this digest."""

    event_count = serializers.IntegerField()
    digest = serializers.CharField(
        help_text="SHA-256 over SHA-256 digests of 1,000 ledger ids each, hexadecimal."
    )
    position = serializers.IntegerField(help_text="Ledger position of the reading.")
    match = serializers.DictField(help_text="Labels that they match.")


class InvoiceLineDocument(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=InvoiceLine.Kind.choices)
    is_correction = serializers.BooleanField(help_text="Of a period that was invoiced before.")
    reverses = serializers.IntegerField(allow_null=True, help_text="The line that it takes back.")
    name = serializers.CharField()
    plan = serializers.CharField()
    metric = serializers.CharField(allow_null=True)
    unit = serializers.CharField()
    project = serializers.CharField(allow_null=True, help_text="Where lines are by project.")
    labels = serializers.DictField(child=serializers.CharField(allow_null=True))
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    first_day = serializers.DateField(allow_null=True)
    end_day = serializers.DateField(allow_null=True, help_text="The day after the last.")
    days = serializers.IntegerField(allow_null=True, help_text="Of a fee; negative where given back.")
    of_days = serializers.IntegerField(allow_null=True)
    quantity = serializers.CharField(allow_null=True)
    amount = money("Net, before discounts and tax.")
    discount_amount = money("Its part of the discounts: negative, or zero.")
    taxes = TaxDocument(many=True)
    tax_amount = money()
    rated_quantity = serializers.CharField(allow_null=True, help_text="Of the whole that it is a part of.")
    rated_amount = serializers.CharField(allow_null=True, help_text="Likewise.")
    price = serializers.DictField(allow_null=True, help_text="As rated; of a full period.")
    share = serializers.CharField(allow_null=True, help_text="Of a partial period, such as 14/31.")
    detail = serializers.ListField(
        child=serializers.DictField(), help_text="What the amount is made of: exact and informative."
    )
    evidence = LineEvidenceDocument(allow_null=True)
    reason = serializers.CharField()
    added_by = serializers.CharField()


class InvoiceDiscountDocument(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    percent = serializers.CharField(allow_null=True)
    fixed_amount = serializers.CharField(allow_null=True)
    amount = money("What it came to: negative, or zero.")
    reason = serializers.CharField()
    added_by = serializers.CharField()


class PaymentDocument(serializers.Serializer):
    id = serializers.IntegerField()
    method = serializers.ChoiceField(choices=Payment.Method.choices)
    amount = money("Negative where it takes another back.")
    received_on = serializers.DateField()
    reference = serializers.CharField()
    key = serializers.CharField(allow_null=True)
    credit_note = serializers.CharField(allow_null=True, help_text="Number of the one that settles it.")
    reverses = serializers.IntegerField(allow_null=True, help_text="The payment that it takes back.")
    reason = serializers.CharField()
    recorded_by = serializers.CharField()
    recorded_at = serializers.DateTimeField()


class CreditMovementDocument(serializers.Serializer):
    grant = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["drawn", "returned"])
    amount = money("What it pays of the invoice; negative where it was given back.")


def seen_digest() -> serializers.CharField:
    return serializers.CharField(
        required=False, help_text="That of the draft as you have seen it: what has changed since is refused."
    )


class ApprovalDocument(serializers.Serializer):
    approved_by = serializers.CharField()
    approved_at = serializers.DateTimeField()
    note = serializers.CharField()


class InvoiceSummaryDocument(serializers.Serializer):
    """An invoice or a credit note. Issued ones never change; amounts of credit notes are negative."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Invoice.Kind.choices)
    number = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=Status.choices, help_text="Of today, by UTC.")
    account = serializers.IntegerField()
    project = serializers.CharField()
    customer = serializers.CharField()
    currency = serializers.CharField()
    origin = serializers.ChoiceField(choices=Invoice.Origin.choices)
    credits = serializers.IntegerField(
        allow_null=True, help_text="Of a credit note: the invoice that it takes back, in whole or in part."
    )
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    issued_on = serializers.DateField(allow_null=True)
    due_on = serializers.DateField(allow_null=True)
    subtotal = money("Of all lines, before discounts and tax.")
    discount_total = money("Negative, or zero.")
    tax_total = money()
    total = money()
    credit_drawn = money("What credit of the account pays; on a draft, what it would.")
    amount_due = money("What is left to pay when it is issued.")
    paid_amount = money("Payments and credit notes, less what was taken back.")
    open_amount = money("What is owed now.")
    created_at = serializers.DateTimeField()
    issued_at = serializers.DateTimeField(allow_null=True)


class InvoiceDocument(InvoiceSummaryDocument):
    as_of = serializers.DateTimeField(allow_null=True, help_text="Billed up to.")
    position = serializers.IntegerField(allow_null=True, help_text="Ledger position of the reading.")
    computed_at = serializers.DateTimeField(allow_null=True)
    edited_by = serializers.CharField()
    issued_by = serializers.CharField()
    reason = serializers.CharField()
    notes = serializers.CharField(help_text="What the customer reads at the end.")
    lines = InvoiceLineDocument(many=True)
    discounts = InvoiceDiscountDocument(many=True)
    taxes = TaxTotalDocument(many=True)
    payments = PaymentDocument(many=True)
    credit_draws = CreditMovementDocument(many=True)
    digest = serializers.CharField(
        allow_null=True, help_text="Of everything on a draft, to be named when it is approved or issued."
    )
    approvals = ApprovalDocument(many=True)
    credit_notes = serializers.ListField(
        child=serializers.IntegerField(), help_text="Ids of those that take back part of it, drafts too."
    )


class InvoicePage(serializers.Serializer):
    results = InvoiceSummaryDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class ManualLineDocument(serializers.Serializer):
    """An amount, or a quantity at a unit amount."""

    name = serializers.CharField()
    amount = money("Net; a negative one takes something off.", required=False)
    quantity = serializers.CharField(required=False)
    unit_amount = serializers.CharField(required=False)
    reason = serializers.CharField(required=False, help_text="For colleagues and auditors.")


class AddedLineDocument(ManualLineDocument):
    digest = seen_digest()


class InvoiceRequestDocument(serializers.Serializer):
    account = serializers.IntegerField(required=False, help_text="Id; or name the project.")
    project = serializers.CharField(required=False, help_text="Key of the project that pays.")
    notes = serializers.CharField(required=False)
    lines = ManualLineDocument(many=True, required=False, help_text=f"At most {MAX_MANUAL_LINES}.")


class InvoiceNotesDocument(serializers.Serializer):
    notes = serializers.CharField(help_text="What the customer reads at the end.", allow_blank=True)
    digest = seen_digest()


class DiscountRequestDocument(serializers.Serializer):
    """Either a percentage of what is left then, or a fixed amount."""

    name = serializers.CharField(help_text="What the customer reads.")
    reason = serializers.CharField(help_text="For colleagues and auditors.")
    percent = serializers.CharField(required=False)
    fixed_amount = money(required=False)
    digest = seen_digest()


class IssueDocument(serializers.Serializer):
    early = serializers.BooleanField(
        required=False, help_text="Before the days of grace for late usage are over."
    )
    digest = seen_digest()


class BillingReasonDocument(serializers.Serializer):
    reason = serializers.CharField()


class ApproveDocument(serializers.Serializer):
    note = serializers.CharField(required=False)
    digest = seen_digest()


class CreditLineDocument(serializers.Serializer):
    name = serializers.CharField()
    amount = money("Net and positive: what the customer gets back.")
    line = serializers.IntegerField(
        required=False, help_text="Id of the invoice's line that it takes back a part of; its taxes hold."
    )
    reason = serializers.CharField(required=False)


class CreditRequestDocument(serializers.Serializer):
    reason = serializers.CharField(help_text="The customer reads it.")
    lines = CreditLineDocument(many=True)


class PaymentRequestDocument(serializers.Serializer):
    amount = money()
    received_on = serializers.DateField()
    method = serializers.ChoiceField(choices=BY_HAND, required=False, help_text="Default: bank_transfer.")
    reference = serializers.CharField(required=False)
    key = serializers.CharField(
        required=False, help_text="The same one on an invoice records one payment. Also: Idempotency-Key."
    )
    excess_to_credit = serializers.BooleanField(
        required=False, help_text="What is beyond the open amount becomes credit of the account."
    )


class RecordedPaymentDocument(PaymentDocument):
    to_credit = money("What became credit of the account.")
