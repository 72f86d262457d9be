"""The way from nothing to the first invoice."""

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from metering.admin.first_steps import FirstSteps, Step

from .billing_links import listed

# Whether there is an invoice, and what it takes to get one. Reads at most a row of each table, few of plans.
_THERE_IS = """
    SELECT EXISTS (SELECT FROM billing_invoice),
           EXISTS (SELECT FROM billing_seller WHERE legal_name <> ''),
           EXISTS (SELECT FROM billing_plan WHERE state = 'published'),
           EXISTS (SELECT FROM billing_billingaccount),
           EXISTS (SELECT FROM billing_subscription)
"""


def billing_steps(request: HttpRequest) -> FirstSteps | None:
    """On Home, for those who may see invoices."""
    return steps_to_first_invoice() if request.user.has_perm("billing.view_invoice") else None


def steps_to_first_invoice() -> FirstSteps | None:
    """What lacks until the first invoice, in the order in which it is needed; None once there is one."""
    with connection.cursor() as cursor:
        cursor.execute(_THERE_IS)
        has_invoice, has_seller, has_plan, has_account, has_subscription = cursor.fetchone()
    if has_invoice:
        return None
    return FirstSteps(
        _("Nothing was billed yet"),
        _("Five steps lead to the first invoice:"),
        [
            Step(
                _("Say who you are"),
                _("Your name, address and tax id, as they stand on invoices."),
                reverse("admin:billing_seller_changelist"),
                has_seller,
            ),
            Step(
                _("Publish a plan"),
                _("What usage costs: prices per metric and fixed fees."),
                listed("plan"),
                has_plan,
            ),
            Step(
                _("Open a billing account"),
                _("Who pays: one for each project that is to receive invoices."),
                listed("billingaccount"),
                has_account,
            ),
            Step(
                _("Subscribe it to the plan"),
                _("From when on the account is charged."),
                listed("subscription"),
                has_subscription,
            ),
            Step(
                _("Bill now"),
                _("Drafts an invoice for everything that is due. Nothing goes out before you have seen it."),
                reverse("admin:billing_billingrun_bill_now"),
                False,
            ),
        ],
    )
