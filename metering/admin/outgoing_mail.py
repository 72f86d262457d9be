"""Mails: what was sent to whom, and what couldn't be."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminEmailInputWidget

from metering.announcing.letters import post_trial
from metering.clock import database_now
from metering.delivering.mailing import resend_mail
from metering.errors import MeterbookError
from metering.models import OutgoingMail

from . import cells, file_columns
from .base import ReadOnlyAdmin
from .refusals import worded
from .row_ids import id_from

Status = OutgoingMail.Status
STATUS_COLOURS = {Status.PENDING: "info", Status.SENT: "success", Status.FAILED: "danger"}


class TrialForm(forms.Form):
    recipient = forms.EmailField(label=_("Send it to"), widget=UnfoldAdminEmailInputWidget())


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnlyAdmin):
    """Rows are read-only; whoever may resend asks for it, and a worker does it."""

    intro = _(
        "Mails that Meterbook sends, and whether they have left. What the mail server doesn't take at once "
        "is tried again for about three days; what it refuses for good has failed, and says why."
    )
    empty_title = _("No mails yet")
    empty_text = _("Alerts are mailed to the addresses of their threshold; EMAIL_URL names the mail server.")
    csv_columns = file_columns.MAILS
    list_display = ("subject", "recipients_shown", "status_badge", "when", "last_error")
    list_display_links = ("subject",)
    list_filter = ("status",)
    search_fields = ("subject", "key")
    search_help_text = _("Subject or key")
    ordering = ("-id",)
    sortable_by = ()
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "status_explained",
                    "recipients_shown",
                    "created",
                    "attempt_count",
                    "message_id_shown",
                    "key",
                )
            },
        ),
        (_("What it says"), {"fields": ("subject", "html_shown", "text_shown", "files")}),
    )
    actions_detail = ("send_again",)
    actions_list = ("send_trial",)

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_resend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.resend_outgoingmail"))

    @action(description=_("Send a test"), url_path="trial", permissions=["resend"], icon="send")
    def send_trial(self, request: HttpRequest) -> HttpResponse:
        """A mail to one address; its page says what becomes of it."""
        form = TrialForm(request.POST or None, initial={"recipient": getattr(request.user, "email", "")})
        if request.method == "POST" and form.is_valid():
            mail_id = post_trial(
                recipient=form.cleaned_data["recipient"], requested_by=request.user.get_username()
            )
            return HttpResponseRedirect(self.page_url("change", mail_id))
        return self.confirmation(
            request,
            title=_("Send a test"),
            subtitle=gettext("do mails arrive?"),
            sentences=[_("The next page says whether the mail server took it.")],
            button=_("Send it"),
            back_url=self.page_url("changelist"),
            original=None,
            form=form,
        )

    @action(description=_("Send it again"), url_path="resend", permissions=["resend"], icon="replay")
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        mail = get_object_or_404(OutgoingMail, pk=object_id)
        back_url = self.page_url("change", mail.pk)
        sentences: list[Any] = [
            _("It is sent to those who don't have it yet: %s.")
            % (", ".join(mail.open_recipients) or gettext("nobody"))
        ]
        if request.method == "POST":
            try:
                resend_mail(mail)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(request, mail, [{"changed": {"fields": [gettext_noop("sent again")]}}])
                return self.done(request, gettext("It is being sent again."), url=back_url)
        return self.confirmation(
            request,
            title=_("Send it again"),
            subtitle=mail.subject,
            sentences=sentences,
            button=_("Send it again"),
            back_url=back_url,
            original=mail,
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        is_sent = OutgoingMail.objects.filter(pk=id_from(str(object_id)) or 0, status=Status.SENT).exists()
        return [] if is_sent else list(super().get_actions_detail(request, object_id))

    # -- columns -----------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.now = now

    @admin.display(description=_("recipients"))
    def recipients_shown(self, mail: OutgoingMail) -> SafeString:
        """Who has it, and who doesn't."""
        open_ones = set(mail.open_recipients)
        return format_html_join(
            "",
            '<div>{} <span class="mb-quiet">{}</span></div>',
            (
                (
                    recipient,
                    gettext("(doesn't have it)")
                    if recipient in open_ones and mail.status == Status.FAILED
                    else "",
                )
                for recipient in mail.recipients
            ),
        )

    @admin.display(description=_("status"))
    def status_badge(self, mail: OutgoingMail) -> SafeString:
        return cells.badge(mail.get_status_display(), STATUS_COLOURS[Status(mail.status)])

    @admin.display(description=_("when"))
    def when(self, mail: Any) -> SafeString | str:
        if mail.status == Status.PENDING:
            return _next(mail, mail.now)
        return cells.moment(mail.sent_at or mail.created_at)

    @admin.display(description=_("last error"))
    def last_error(self, mail: OutgoingMail) -> SafeString:
        return cells.one_line(mail.error)

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("status"))
    def status_explained(self, mail: OutgoingMail) -> SafeString:
        if mail.status == Status.SENT:
            note: Any = cells.moment(mail.sent_at)
        elif mail.status == Status.FAILED:
            note = mail.error
        else:
            note = " ".join(
                filter(None, [gettext("Next attempt: %s.") % _next(mail, database_now()), mail.error])
            )
        return cells.two_lines(self.status_badge(mail), note)

    @admin.display(description=_("posted at"))
    def created(self, mail: OutgoingMail) -> SafeString:
        return cells.moment(mail.created_at)

    @admin.display(description=_("Message-ID"))
    def message_id_shown(self, mail: OutgoingMail) -> SafeString:
        return cells.code(mail.message_id)

    @admin.display(description=_("as HTML"))
    def html_shown(self, mail: OutgoingMail) -> SafeString | str:
        if not mail.html:
            return cells.DASH
        # In a frame that runs no script and reaches nothing of this page.
        return format_html(
            '<iframe class="mb-mail" sandbox title="{}" srcdoc="{}"></iframe>', mail.subject, mail.html
        )

    @admin.display(description=_("as text"))
    def text_shown(self, mail: OutgoingMail) -> SafeString:
        return cells.pretty_json(mail.text)

    @admin.display(description=_("files"))
    def files(self, mail: OutgoingMail) -> str:
        names = mail.attachments.values_list("file_name", flat=True)
        return ", ".join(names) or cells.DASH


def _next(mail: OutgoingMail, now: Any) -> str:
    if mail.next_attempt_at <= now:
        return gettext("now")
    return cells.ago(mail.next_attempt_at, now=now)
