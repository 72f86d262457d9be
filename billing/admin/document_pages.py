"""How a page of a document asks before something happens: what it means, a form, and the verb's refusals."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from billing.errors import DocumentIsDraft, DocumentIsIssued
from billing.invoicing.approvals import content_digest, digest_from
from billing.models import Invoice
from metering.admin.paging import LargeTableAdmin
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.errors import MeterbookError

from .document_words import title_of, zone_of

ASK_TEMPLATE = "admin/billing/invoice/ask.html"
Result = TypeVar("Result")


class RefusableForm(forms.Form):
    """A form, also one without fields, that shows what a verb refused beside the field at fault."""

    def refuse(self, refusal: MeterbookError) -> None:
        name = str(getattr(refusal, "field", None) or "").partition(".")[0]
        self.add_error(name if name in self.fields else None, worded(refusal))


class SeenForm(RefusableForm):
    """Carries the digest of the draft that was shown, so that nothing happens to another one."""

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput())

    def __init__(self, data: Any, *, invoice: Invoice, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial={"seen": content_digest(invoice).hex(), **(initial or {})})

    @property
    def given(self) -> dict[str, Any]:
        """What was typed."""
        return {name: value for name, value in self.cleaned_data.items() if name != "seen"}

    @property
    def digest(self) -> bytes:
        """Raises `DraftChangedSince` for what can't be one."""
        return digest_from(self.cleaned_data["seen"])


class ReasonForm(RefusableForm):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("The customer reads it on the credit note."),
    )


class DocumentPages(LargeTableAdmin):
    """What all pages of documents share. Every page asks its verb again when it is confirmed."""

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_edit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.change_invoice")

    def has_issue_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.issue_invoice")

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.approve_invoice")

    def has_void_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.void_invoice")

    def has_pay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.add_payment")

    def page(self, route: str, view: Callable[..., Any], name: str) -> Any:
        full = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return path(route, self.admin_site.admin_view(view), name=full)

    def document(self, object_id: object) -> Any:
        """Loaded as lists and pages show it. Raises `Http404`."""
        row_id = id_from(str(object_id))
        invoices = Invoice.objects.with_open_amount().select_related("account__project", "credits")
        invoice = invoices.filter(pk=row_id or 0).first()
        if invoice is None:
            raise Http404
        return invoice

    def ensure(self, is_allowed: bool) -> None:
        """For pages that aren't actions."""
        if not is_allowed:
            raise PermissionDenied

    def not_a_draft(self, request: HttpRequest, invoice: Invoice) -> HttpResponse | None:
        """Back to the document with the reason, where it is issued already."""
        if invoice.is_draft:
            return None
        return self.refused(request, invoice, DocumentIsIssued(str(invoice.number)))

    def not_issued(self, request: HttpRequest, invoice: Invoice) -> HttpResponse | None:
        return self.refused(request, invoice, DocumentIsDraft()) if invoice.is_draft else None

    def refused(self, request: HttpRequest, invoice: Invoice, refusal: MeterbookError) -> HttpResponse:
        messages.error(request, worded(refusal))
        return HttpResponseRedirect(self.page_url("change", invoice.pk))

    def ask(
        self,
        request: HttpRequest,
        invoice: Invoice | None,
        *,
        title: Any,
        button: Any,
        verb: Callable[[], Result],
        answer: Callable[[Result], HttpResponse],
        form: RefusableForm | None = None,
        sentences: Sequence[Any] = (),
        facts: Sequence[tuple[Any, Any]] = (),
        obstacle: Any = "",
        is_harmless: bool = False,
        subtitle: str = "",
        back_url: str = "",
        template: str = ASK_TEMPLATE,
        extra: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what it means; on POST of a valid form carry it out. What the verb refuses is shown.

        `facts` are shown as a table. With an `obstacle` there is no button: the verb would refuse.
        """
        form = form or RefusableForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                result = verb()
            except MeterbookError as refusal:
                form.refuse(refusal)
            else:
                return answer(result)
        if invoice is not None:
            subtitle = subtitle or f"{invoice.account.legal_name}, {title_of(invoice)}"
            back_url = back_url or self.page_url("change", invoice.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": invoice,
            "title": title,
            "subtitle": subtitle,
            "form": form,
            "media": self.media + form.media,
            "sentences": sentences,
            "facts": facts,
            "obstacle": "" if form.errors else obstacle,
            "button": "" if obstacle else button,
            "variant": "primary" if is_harmless else "danger",
            "back_url": back_url or self.page_url("changelist"),
            **(extra or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)

    def changed(
        self, request: HttpRequest, invoice: Invoice, field: str, message: Any, *, url: str = ""
    ) -> HttpResponse:
        """Note who changed what, say so, and go back to the document."""
        self.log_change(request, invoice, [{"changed": {"fields": [field]}}])
        return self.done(request, message, url=url or self.page_url("change", invoice.pk))


def today_of(invoice: Invoice, now: dt.datetime) -> dt.date:
    """The day on the customer's clocks."""
    return now.astimezone(zone_of(invoice)).date()
