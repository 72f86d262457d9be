"""Who issues invoices: one row, so that there is a page and no list."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from billing.invoicing.sellers import change_seller, seller
from billing.models import Seller
from metering.admin.base import EditableAdmin, VerbForm

from .account_form import LinesField

FIELDS = ("legal_name", "address_lines", "country", "tax_id", "email", "payment_details", "footer")


class SellerForm(VerbForm):
    address_lines = LinesField(
        label=_("Address"), help_text=_("One line per line, as on an envelope, without name and country.")
    )

    class Meta:
        model = Seller
        fields = FIELDS
        widgets = {
            "payment_details": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "footer": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "legal_name" in self.fields:
            self.fields["legal_name"].required = True  # nothing can be issued without

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()


@admin.register(Seller)
class SellerAdmin(EditableAdmin):
    """Issued documents copy what they show: a change is seen by later ones only."""

    form = SellerForm
    fieldsets = (
        (
            None,
            {
                "fields": ("legal_name", "address_lines", "country", "tax_id", "email"),
                "description": _(
                    "As it stands on invoices. Issued documents keep what they show; a change is seen by "
                    "those issued from now on."
                ),
            },
        ),
        (_("At the foot of invoices"), {"fields": ("payment_details", "footer")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """There is one, so that the list is its page."""
        return self.changeform_view(request, "1", extra_context=extra_context)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return seller() if object_id == "1" else None

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        self.adopt(obj, change_seller({name: form.cleaned_data[name] for name in FIELDS}))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.done(request, _("The seller is saved."), url=self.page_url("change", 1))
