"""Seals: what the ledger held, in numbers that can't be made again without a key kept elsewhere."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.sealing.seal_chain import Head


class LedgerSeal(models.Model):
    """One closed segment of the ledger: the rows with after_position < id <= position, as they were sealed.

    Written by `sealing.seals` alone; the database refuses changes.
    """

    number = models.BigIntegerField(_("number"), primary_key=True, help_text=_("1, 2, 3, … without gaps."))
    after_position = models.BigIntegerField(
        _("after position"), help_text=_("Where the seal before ends; this one begins with the next id.")
    )
    position = models.BigIntegerField(
        _("up to position"), help_text=_("The last ledger id that this seal answers for.")
    )
    row_count = models.BigIntegerField(_("rows"), help_text=_("Rows of the ledger in this segment."))
    leaf_count = models.IntegerField(
        _("leaves"), help_text=_("Blocks of at most 1,000 rows, each with a digest of its own.")
    )
    digest = models.BinaryField(
        _("digest"), max_length=32, help_text=_("A hash of the leaves: it changes when any row does.")
    )
    previous_mac = models.BinaryField(
        _("follows"), max_length=32, help_text=_("The signature of the seal before; zeros for the first.")
    )
    mac = models.BinaryField(
        _("signature"),
        max_length=32,
        help_text=_("Made of all the above with a key that is not in the database."),
    )
    key_number = models.PositiveSmallIntegerField(
        _("key number"), help_text=_("Which of the SEAL_KEYS signed it.")
    )
    sealed_at = models.DateTimeField(_("sealed at"))

    class Meta:
        db_table_comment = "Sealed segments of the ledger, chained by HMAC. Append-only by trigger."
        verbose_name = _("seal")
        verbose_name_plural = _("seals")
        constraints = [
            models.UniqueConstraint(fields=["position"], name="ledger_seal_ends_once"),
            models.UniqueConstraint(fields=["previous_mac"], name="ledger_seal_is_followed_once"),
            models.CheckConstraint(
                name="ledger_seal_holds_rows",
                condition=Q(number__gte=1, row_count__gte=1, position__gt=F("after_position")),
            ),
        ]

    def __str__(self) -> str:
        return gettext("Seal %s") % self.number

    @property
    def head(self) -> str:
        """What is published about it: `mbs1:<number>:<position>:<signature>`."""
        return Head(self.number, self.position, bytes(self.mac)).text


class SealLeaf(models.Model):
    """A thousand rows of a sealed segment, so that a difference can be told to its place. Never changed."""

    seal = models.ForeignKey(
        LedgerSeal, verbose_name=_("seal"), on_delete=models.PROTECT, related_name="leaves", db_index=False
    )
    number = models.IntegerField(_("number"))
    first_id = models.BigIntegerField(_("first id"))
    last_id = models.BigIntegerField(_("last id"))
    row_count = models.IntegerField(_("rows"))
    digest = models.BinaryField(_("digest"), max_length=32)

    class Meta:
        db_table_comment = "Digests of a thousand rows each, of sealed segments. Append-only by trigger."
        verbose_name = _("leaf of a seal")
        verbose_name_plural = _("leaves of seals")
        constraints = [models.UniqueConstraint(fields=["seal", "number"], name="seal_leaf_once")]

    def __str__(self) -> str:
        return f"leaf {self.number}"
