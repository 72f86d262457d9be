"""What was billed: which period of which price, up to which ledger position, and what was learned since."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .account import BillingAccount
from .amount import AmountField
from .plan import Price
from .subscription import Subscription


class BilledPeriod(models.Model):
    """One period of one price of a subscription is billed, by one document at a time. Never twice.

    Written by `invoicing.drafting`, `issuing` and `late_usage`. `invoice` is the document that
    holds what counts now: a draft, or the issued one that booked it last; None while it is to be billed, also
    again after a void. `position` is the ledger position of the issued rating, None before.
    `learned_at_position` is set once the ledger holds more about the period than was rated.
    """

    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="billed_periods",
    )
    subscription = models.ForeignKey(
        Subscription,
        verbose_name=_("subscription"),
        on_delete=models.PROTECT,
        related_name="billed_periods",
        db_index=False,  # the unique constraint begins with it
    )
    price = models.ForeignKey(Price, verbose_name=_("price"), on_delete=models.PROTECT, related_name="+")
    period_start = models.DateTimeField(_("period start"))
    period_end = models.DateTimeField(_("period end"))
    invoice = models.ForeignKey(
        "billing.Invoice",
        verbose_name=_("invoice"),
        null=True,
        on_delete=models.PROTECT,
        related_name="billed_periods",
    )
    position = models.BigIntegerField(_("ledger position"), null=True)
    learned_at_position = models.BigIntegerField(_("learned more at position"), null=True)

    class Meta:
        db_table_comment = "One period of one price of a subscription is billed, by one document at a time."
        ordering = ["subscription_id", "period_start", "price_id"]
        verbose_name = _("billed period")
        verbose_name_plural = _("billed periods")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "price", "period_start"], name="period_billed_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["account"],
                condition=Q(learned_at_position__isnull=False),
                name="billed_period_learned",
            ),
            models.Index(fields=["period_end"], name="billed_period_by_end"),
        ]

    def __str__(self) -> str:
        return gettext("Billed period %s") % self.pk


class PeriodCorrection(models.Model):
    """An invoiced period is worth something else than was billed for it, and what is done about that.

    Written by `invoicing.drafting` and `corrections`. `difference` is what is still to be billed (or,
    negative, given back), before discounts and tax. One at a time is open for a period; decided ones stay.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for approval")
        APPROVED = "approved", _("Approved")
        DRAFTED = "drafted", _("On a draft")
        BOOKED = "booked", _("Booked")
        WRITTEN_OFF = "written_off", _("Written off")

    billed_period = models.ForeignKey(
        BilledPeriod, verbose_name=_("billed period"), on_delete=models.PROTECT, related_name="corrections"
    )
    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="corrections",
    )
    position = models.BigIntegerField(_("ledger position"))
    period_end = models.DateTimeField(_("period end"))  # as it is now; a change of plan may have moved it
    billed_amount = AmountField(_("billed"))
    rated_amount = AmountField(_("now worth"))
    difference = AmountField(_("difference"))
    state = models.CharField(_("state"), max_length=11, choices=State.choices)
    invoice = models.ForeignKey(
        "billing.Invoice",
        verbose_name=_("document"),
        null=True,
        on_delete=models.PROTECT,
        related_name="corrections",
    )
    found_at = models.DateTimeField(_("found at"), db_default=Now(), editable=False)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    reason = models.TextField(_("reason"), blank=True, max_length=2000)

    class Meta:
        db_table_comment = "An invoiced period is worth something else than was billed for it."
        ordering = ["-id"]
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        permissions = [("decide_periodcorrection", _("Can approve or write off corrections"))]
        constraints = [
            models.UniqueConstraint(
                fields=["billed_period"],
                condition=Q(state__in=("waiting", "approved", "drafted")),
                name="one_open_correction_per_period",
            ),
        ]
        indexes = [models.Index(fields=["account", "state"], name="correction_by_account")]

    def __str__(self) -> str:
        return gettext("Correction %s") % self.pk


class LateUsageWatch(models.Model):
    """Up to which ledger position invoiced periods were looked through for late usage. One row."""

    position = models.BigIntegerField(_("ledger position"), default=0)

    class Meta:
        db_table_comment = "Up to which ledger position invoiced periods were looked through for late usage."
        verbose_name = _("late usage watch")
        verbose_name_plural = _("late usage watch")
        constraints = [models.CheckConstraint(name="one_late_usage_watch", condition=Q(pk=1))]

    def __str__(self) -> str:
        return f"late usage watch at {self.position}"


class BillingRun(models.Model):
    """One billing run: what it billed up to, how far it is, what came of it. Written by `invoicing.runs`.

    One that was asked for waits as queued, without a position, until a worker takes it.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        INTERRUPTED = "interrupted", _("Interrupted")

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", _("Schedule")
        COMMAND = "command", _("Command")
        ADMIN = "admin", _("Admin")
        CODE = "code", _("Code")

    as_of = models.DateTimeField(_("billed up to"))
    position = models.BigIntegerField(_("ledger position"), null=True)
    trigger = models.CharField(_("started by"), max_length=8, choices=Trigger.choices)
    requested_by = models.CharField(_("requested by"), max_length=150, blank=True)
    state = models.CharField(_("state"), max_length=11, choices=State.choices, default=State.RUNNING)
    account_count = models.PositiveIntegerField(_("accounts"), default=0)
    done_count = models.PositiveIntegerField(_("accounts done"), default=0)
    drafted_count = models.PositiveIntegerField(_("drafts"), default=0)
    issued_count = models.PositiveIntegerField(_("issued"), default=0)
    parked_count = models.PositiveIntegerField(_("parked"), default=0)
    started_at = models.DateTimeField(_("started at"), db_default=Now(), editable=False)
    heard_at = models.DateTimeField(_("last heard of"), db_default=Now(), editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        db_table_comment = "One billing run: what it billed up to, how far it is, what came of it."
        ordering = ["-id"]
        verbose_name = _("billing run")
        verbose_name_plural = _("billing runs")
        permissions = [("start_billingrun", _("Can start billing runs"))]
        constraints = [
            models.CheckConstraint(
                name="started_run_has_a_position", condition=Q(state="queued") | Q(position__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="queued"), name="one_billing_run_waits"
            ),
        ]

    def __str__(self) -> str:
        return gettext("Run %s") % self.pk


class ParkedAccount(models.Model):
    """An account that couldn't be billed, and why. The next run that succeeds removes the row."""

    account = models.OneToOneField(
        BillingAccount, verbose_name=_("billing account"), on_delete=models.PROTECT, related_name="parked"
    )
    code = models.CharField(_("code"), max_length=50)
    reason = models.TextField(_("reason"))
    since = models.DateTimeField(_("since"), db_default=Now(), editable=False)
    run = models.ForeignKey(
        BillingRun,
        verbose_name=_("run"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="parked_accounts",
    )

    class Meta:
        db_table_comment = "An account that couldn't be billed, and why."
        ordering = ["since", "id"]
        verbose_name = _("parked account")
        verbose_name_plural = _("parked accounts")

    def __str__(self) -> str:
        return gettext("Parked account %s") % self.account_id
