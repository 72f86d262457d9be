"""What becomes of a document: issued, approved, voided, credited, paid."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.invoicing.approvals import approve
from billing.invoicing.draft_edits import begin_credit_note
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import Payment
from billing.settling.payments import BY_HAND, record_payment, take_back_payment
from metering.api.parsing import choice_of, members_of, text_of
from metering.api.visibility import principal_of_request
from metering.clock import database_now
from metering.errors import Invalid
from metering.measuring.windows import zone_named

from .invoice_answers import amounts_in, shown_approval, shown_payment, shown_recorded
from .invoice_documents import (
    ApprovalDocument,
    ApproveDocument,
    BillingReasonDocument,
    CreditRequestDocument,
    InvoiceDocument,
    IssueDocument,
    PaymentDocument,
    PaymentRequestDocument,
    RecordedPaymentDocument,
)
from .invoices import PROBLEMS, answer_with
from .manual_lines import credit_lines_from
from .member_values import day_of, flag_of, needed, number_of, reason_of, seen_of
from .visible_documents import actor_of, visible_document, visible_payment


class InvoiceIssueView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.issue_invoice"}

    @extend_schema(
        operation_id="invoices_issue",
        summary="Issue a draft",
        description=(
            "It gets its number and never changes from then on. 409 says what stands against it: "
            "`grace_not_over`, `draft_outdated`, `approval_missing`, `nothing_to_issue`, `seller_unknown`, "
            "`document_is_issued`, and `draft_changed_since` where `digest` is given and another by now."
        ),
        request=IssueDocument,
        responses={200: InvoiceDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(request.data or {}, known=("early", "digest"), aliases={"is_early": "early"})
        issue(
            invoice,
            now=database_now(),
            issued_by=actor_of(principal_of_request(request)),
            is_early=flag_of(members, "early"),
            seen=seen_of(members),
        )
        return answer_with(request, invoice_id)


class InvoiceVoidView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.void_invoice"}

    @extend_schema(
        operation_id="invoices_void",
        summary="Take an issued invoice back in full",
        description=(
            "Answers with the credit note, which has a number of its own. The invoice's periods are to be "
            "billed again, credit that it drew is given back. 409 while payments are allocated. 202: it "
            "comes to more than the account's `approval_above`, so the credit note is a draft, and the "
            "invoice stands until a second person has approved the draft and it is issued."
        ),
        request=BillingReasonDocument,
        responses={201: InvoiceDocument, 202: InvoiceDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        note = void(
            invoice,
            now=database_now(),
            reason=reason_of(members_of(request.data or {}, known=("reason",))),
            voided_by=actor_of(principal_of_request(request)),
        )
        return answer_with(request, note.pk, status=202 if note.is_draft else 201)


class InvoiceApproveView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.approve_invoice"}

    @extend_schema(
        operation_id="invoices_approve",
        summary="Approve a draft with exactly what is on it now",
        description=(
            "409 `own_work_not_approved` for whoever edited it last or added anything that is on it, and "
            "`draft_changed_since` where `digest` is given and the draft is another one by now."
        ),
        request=ApproveDocument,
        responses={201: ApprovalDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(request.data or {}, known=("note", "digest"))
        approval = approve(
            invoice,
            approved_by=actor_of(principal_of_request(request)),
            note=reason_of(members, "note"),
            seen=seen_of(members),
        )
        approval.refresh_from_db()
        return Response(shown_approval(approval), status=201)


class InvoiceCreditView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.add_invoice"}

    @extend_schema(
        operation_id="invoices_credit",
        summary="Draft a credit note for part of an issued invoice",
        description="Answers with the draft; issue it like any other document.",
        request=CreditRequestDocument,
        responses={201: InvoiceDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(request.data, known=("reason", "lines"))
        note = begin_credit_note(
            invoice,
            lines=credit_lines_from(members.get("lines") or [], invoice),
            reason=reason_of(members),
            edited_by=actor_of(principal_of_request(request)),
        )
        return answer_with(request, note.pk, status=201)


class InvoicePaymentsView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.add_payment"}

    @extend_schema(
        operation_id="invoices_record_payment",
        summary="Record what was received for an issued invoice",
        description=(
            "201; 200 where the key was used for the same payment already. More than is open is refused "
            "with 409 `too_much`, unless the excess is to become credit."
        ),
        request=PaymentRequestDocument,
        responses={200: RecordedPaymentDocument, 201: RecordedPaymentDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(
            request.data,
            known=("amount", "received_on", "method", "reference", "key", "excess_to_credit"),
            aliases={"idempotency_key": "key"},
        )
        for name in ("amount", "received_on"):
            needed(members, name)
        amount, received_on = number_of(members, "amount"), day_of(members, "received_on")
        assert amount is not None
        assert received_on is not None
        recorded = record_payment(
            invoice,
            amount=amount,
            received_on=received_on,
            method=choice_of(members, "method", BY_HAND) or Payment.Method.BANK_TRANSFER,
            reference=text_of(members, "reference", max_length=200) or "",
            key=key_of(request, members),
            recorded_by=actor_of(principal_of_request(request)),
            now=database_now(),
            excess_to_credit=flag_of(members, "excess_to_credit"),
        )
        recorded.payment.refresh_from_db()
        shown = shown_recorded(recorded, currency=invoice.currency)
        return Response(shown, status=201 if recorded.is_new else 200)


class PaymentTakeBackView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.add_payment"}

    @extend_schema(
        operation_id="invoices_take_back_payment",
        summary="Take a payment back",
        description="One that was recorded by mistake, or bounced. Answers with the row that takes it back.",
        request=BillingReasonDocument,
        responses={201: PaymentDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int, payment_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        payment = visible_payment(invoice, payment_id)
        taken_back = take_back_payment(
            payment,
            reason=reason_of(members_of(request.data or {}, known=("reason",))),
            recorded_by=actor_of(principal_of_request(request)),
            received_on=database_now().astimezone(zone_named(invoice.account.timezone)).date(),
        )
        taken_back.refresh_from_db()
        return Response(shown_payment(taken_back, amounts_in(invoice.currency)), status=201)


def key_of(request: Request, members: dict[str, object]) -> str:
    """The idempotency key, of the body or of the header; empty where there is none. Raises `Invalid`."""
    key, header = text_of(members, "key", max_length=200), request.headers.get("Idempotency-Key")
    if key is not None and header is not None and key != header:
        raise Invalid("The header Idempotency-Key says another; send one.", field="key")
    return key or header or ""
