"""What each role of staff may do with money: who draws documents up, and who judges them."""

from django.utils.translation import gettext_lazy as _

from metering.roles import SEES, Area, Role

# Operators see what customers are billed, so that they can answer; they change none of it.
_SEEN = {Role.OPERATOR: (SEES,), Role.APPROVER: (SEES,)}

AREAS = (
    Area(
        "billing",
        _("Invoices and payments"),
        tables=("invoice", "invoiceline", "payment"),
        rights={
            **_SEEN,
            Role.FINANCE: (
                SEES,
                "add_invoice",
                "change_invoice",
                "delete_invoice",
                "issue_invoice",
                "void_invoice",
                "add_payment",
            ),
            Role.APPROVER: (SEES, "approve_invoice"),
        },
        decisions=("approve_invoice",),
    ),
    Area(
        "billing",
        _("Corrections of periods"),
        tables=("periodcorrection",),
        rights={
            **_SEEN,
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES, "decide_periodcorrection"),
        },
        decisions=("decide_periodcorrection",),
    ),
    Area(
        "billing",
        _("Accounts and subscriptions"),
        tables=("billingaccount", "subscription"),
        rights={
            **_SEEN,
            Role.FINANCE: (
                SEES,
                "add_billingaccount",
                "change_billingaccount",
                "add_subscription",
                "change_subscription",
            ),
            Role.APPROVER: (SEES, "loosen_approval"),
        },
        decisions=("loosen_approval",),
    ),
    Area(
        "billing",
        _("Plans and prices"),
        tables=("plan",),
        rights={**_SEEN, Role.FINANCE: (SEES, "add_plan", "change_plan")},
    ),
    Area(
        "billing",
        _("Prepaid credit"),
        tables=("creditgrant", "creditentry"),
        rights={**_SEEN, Role.FINANCE: (SEES, "add_creditgrant", "change_creditgrant")},
    ),
    Area(
        "billing",
        _("Billing runs"),
        tables=("billingrun", "parkedaccount"),
        rights={**_SEEN, Role.FINANCE: (SEES, "start_billingrun")},
    ),
    Area(
        "billing",
        _("Seller and numbers"),
        tables=("seller", "numberseries"),
        rights={
            **_SEEN,
            Role.FINANCE: (SEES, "change_seller", "change_numberseries"),
        },
    ),
)
