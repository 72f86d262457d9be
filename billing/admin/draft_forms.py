"""What is added to drafts by hand, as forms: lines, discounts, a note, and whom an invoice is for."""

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.invoicing.draft_edits import ManualLine
from billing.models import BillingAccount
from metering.admin.number_fields import NumberField

from .document_pages import RefusableForm, SeenForm


class LineForm(SeenForm):
    name = forms.CharField(
        label=_("Name"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("What the customer reads on the line."),
    )
    amount = NumberField(
        label=_("Amount"),
        required=False,
        max_digits=28,
        help_text=_(
            "Net, before discounts and tax; negative takes something off. Or leave it empty and give:"
        ),
    )
    quantity = NumberField(label=_("Quantity"), required=False, max_digits=28)
    unit_amount = NumberField(
        label=_("Unit price"),
        required=False,
        max_digits=28,
        help_text=_("Quantity times unit price is rounded once, for the line."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("For colleagues and auditors; the customer doesn't see it."),
    )

    @property
    def line(self) -> ManualLine:
        return ManualLine(**self.given)


class DiscountForm(SeenForm):
    name = forms.CharField(
        label=_("Name"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("What the customer reads."),
    )
    percent = NumberField(
        label=_("Percent"),
        required=False,
        max_digits=28,
        help_text=_("Of what is left after the discounts there are. Corrections keep their own."),
    )
    fixed_amount = NumberField(
        label=_("or an amount"),
        required=False,
        max_digits=28,
        help_text=_("Net; never more than there is to take it off."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("For colleagues and auditors; the customer doesn't see it."),
    )


class NotesForm(SeenForm):
    notes = forms.CharField(
        label=_("Note to the customer"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("Stands at the end of the document. Empty: none."),
    )


class AccountForm(RefusableForm):
    project = forms.CharField(
        label=_("Customer"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "list": "accounts"}),
        help_text=_("Key of the paying project, or the customer's name."),
    )

    def clean_project(self) -> BillingAccount:
        """By key; by name where one customer alone has it."""
        text = self.cleaned_data["project"].strip()
        accounts = BillingAccount.objects.select_related("project")
        account = accounts.filter(project__key=text).first()
        if account is not None:
            return account
        named = list(accounts.filter(legal_name__iexact=text)[:2])
        if not named:
            raise forms.ValidationError(gettext("No customer has this name, or a project with this key."))
        if len(named) > 1:
            raise forms.ValidationError(gettext("Several customers have this name; give the project's key."))
        return named[0]
