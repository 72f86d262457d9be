"""Seals of the ledger, for looking and for copying the head."""

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.models import LedgerSeal

from . import cells
from .base import ReadOnlyAdmin

SHOWN_DIGITS = 16


@admin.register(LedgerSeal)
class LedgerSealAdmin(ReadOnlyAdmin):
    intro = _(
        "A seal lets verification prove that the usage recorded up to its position still is exactly what it "
        "was when it was sealed: who changes, adds or removes a row behind our back can't make a seal that "
        "fits."
    )
    empty_title = _("Nothing is sealed yet")
    empty_text = _(
        "The job “Seal the ledger” makes a seal an hour while usage arrives; manage.py seal_ledger makes one "
        "now."
    )
    list_display = ("named", "up_to", "rows", "leaves", "sealed", "signature_start")
    list_display_links = ("named",)
    ordering = ("-number",)
    sortable_by = ()
    fieldsets = (
        (
            None,
            {
                "fields": ("head_to_copy", "sealed", "range", "rows", "leaves_explained"),
                "description": _(
                    "Keep the head of the last seal where those who run the database can't reach it. "
                    "Only with it can verification find that the end of the ledger was cut off."
                ),
            },
        ),
        (
            _("Chain"),
            {"fields": ("digest_hex", "previous_hex", "mac_hex", "key_number")},
        ),
    )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("seal"))
    def named(self, seal: LedgerSeal) -> str:
        return gettext("Seal %s") % numerals.count(seal.number)

    @admin.display(description=_("up to position"))
    def up_to(self, seal: LedgerSeal) -> SafeString:
        return cells.number(seal.position)

    @admin.display(description=_("rows"))
    def rows(self, seal: LedgerSeal) -> SafeString:
        return cells.number(seal.row_count)

    @admin.display(description=_("leaves"))
    def leaves(self, seal: LedgerSeal) -> SafeString:
        return cells.number(seal.leaf_count)

    @admin.display(description=_("sealed at"))
    def sealed(self, seal: LedgerSeal) -> SafeString:
        return cells.moment(seal.sealed_at)

    @admin.display(description=_("signature"))
    def signature_start(self, seal: LedgerSeal) -> SafeString:
        return cells.code(f"{bytes(seal.mac).hex()[:SHOWN_DIGITS]}…")

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("head"))
    def head_to_copy(self, seal: LedgerSeal) -> SafeString:
        return SafeString(render_to_string("admin/includes/copyable.html", {"text": seal.head}))

    @admin.display(description=_("ledger ids"))
    def range(self, seal: LedgerSeal) -> str:
        return gettext("%(first)s to %(last)s") % {
            "first": numerals.count(seal.after_position + 1),
            "last": numerals.count(seal.position),
        }

    @admin.display(description=_("leaves"))
    def leaves_explained(self, seal: LedgerSeal) -> SafeString:
        note = gettext("Blocks of at most 1,000 rows with a digest each: a difference is told to its block.")
        return cells.two_lines(cells.grouped(seal.leaf_count), note)

    @admin.display(description=_("digest"))
    def digest_hex(self, seal: LedgerSeal) -> SafeString:
        return cells.two_lines(
            cells.code(bytes(seal.digest).hex()),
            gettext("A hash of the leaves: it changes when any row does."),
        )

    @admin.display(description=_("follows"))
    def previous_hex(self, seal: LedgerSeal) -> SafeString:
        note = (
            gettext("The first seal follows nothing.")
            if seal.number == 1
            else gettext("The signature of seal %s.") % numerals.count(seal.number - 1)
        )
        return cells.two_lines(cells.code(bytes(seal.previous_mac).hex()), note)

    @admin.display(description=_("signature"))
    def mac_hex(self, seal: LedgerSeal) -> SafeString:
        return cells.two_lines(
            cells.code(bytes(seal.mac).hex()),
            gettext("Made of all of this with a key that is not in the database."),
        )
