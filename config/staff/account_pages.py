"""Pages about one's own account: preferences, and sign-in in two steps. They need no right but a session."""

import datetime as dt
from typing import Any

import django_otp
import segno
from axes.models import AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.roles.pages import name_of
from metering.admin import cells
from metering.admin.refusals import worded

from . import one_time_passwords
from .account_forms import PreferencesForm
from .one_time_passwords import WrongCode
from .preferences import keep_wishes, wishes_of
from .sign_in import CodeForm

SIGN_INS_SHOWN = 5


def _person(request: HttpRequest) -> User:
    """Who looks: `admin_view` lets in nobody else."""
    user = request.user
    assert isinstance(user, User)
    return user


def _note(request: HttpRequest, user: User, words: Any) -> None:
    """Into the history of the account, where those who look after users read it."""
    admin.site.get_model_admin(User).log_change(request, user, words)


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    return TemplateResponse(
        request, f"admin/account/{template}", {**admin.site.each_context(request), "title": title, **context}
    )


def preferences(request: HttpRequest) -> HttpResponse:
    """Zone and language; how one signs in; what one may do."""
    user = _person(request)
    stored = wishes_of(user)
    initial = {"time_zone": stored.time_zone, "language": stored.language}
    form = PreferencesForm(request.POST or None, stored=stored, initial=initial)
    if request.method == "POST" and form.is_valid():
        keep_wishes(user, form.wishes())
        with translation.override(form.wishes().spoken or translation.get_language()):
            messages.success(request, gettext("Your preferences are kept."))
        return HttpResponseRedirect(reverse("preferences"))
    return _page(
        request,
        "preferences.html",
        gettext("Preferences"),
        form=form,
        media=form.media,
        now=cells.moment(timezone.now()),
        has_app=one_time_passwords.has_app(user),
        codes_left=one_time_passwords.backup_codes_left(user),
        roles=[name_of(group) for group in user.groups.order_by("name")],
        sign_ins=_sign_ins(user),
        failures=_failures(user),
    )


def _sign_ins(user: User) -> list[tuple[SafeString, str | None]]:
    rows = AccessLog.objects.filter(username=user.get_username()).order_by("-attempt_time")[:SIGN_INS_SHOWN]
    return [(cells.moment(row.attempt_time), row.ip_address) for row in rows]


def _failures(user: User) -> list[tuple[SafeString, str | None]]:
    """Of the last seven days: what one should know who didn't mistype."""
    since = timezone.now() - dt.timedelta(days=7)
    rows = AccessFailureLog.objects.filter(username=user.get_username(), attempt_time__gte=since)
    newest = rows.order_by("-attempt_time")[:SIGN_INS_SHOWN]
    return [(cells.moment(row.attempt_time), row.ip_address) for row in newest]


def two_steps(request: HttpRequest) -> HttpResponse:
    """Whether codes are asked for, and what to do about it."""
    user = _person(request)
    return _page(
        request,
        "two_steps.html",
        gettext("Two-step sign-in"),
        has_app=one_time_passwords.has_app(user),
        is_begun=one_time_passwords.app_being_set_up(user) is not None,
        is_required=settings.REQUIRE_ONE_TIME_PASSWORDS,
        codes_left=one_time_passwords.backup_codes_left(user),
    )


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def begin(request: HttpRequest) -> HttpResponse:
    """Make a new secret, and show it. Who has an app gives a code of it, or a session left open would do."""
    user = _person(request)
    has_app = one_time_passwords.has_app(user)
    form = _code_form(request)
    if request.method == "POST" and (not has_app or form.is_valid()):
        try:
            if has_app:
                one_time_passwords.accept_code(user, form.cleaned_data["code"])
        except WrongCode as refusal:
            form.add_error("code", worded(refusal))
        else:
            one_time_passwords.begin_app(user)
            return HttpResponseRedirect(reverse("two_steps_set_up"))
    sentences = [
        gettext("First a code of the present app, or a backup code. Then the new telephone reads a picture."),
        gettext("The present app stays the one that counts until the new one has shown a code."),
    ]
    return _asking(request, form, gettext("Move to another telephone"), sentences, gettext("Go on"))


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """The secret as a picture and as text, and a field for the code that shows that the app has it."""
    user = _person(request)
    form = _code_form(request)
    form.fields["code"].help_text = gettext("The six digits that the app shows now.")
    if request.method == "POST" and form.is_valid():
        try:
            app, codes = one_time_passwords.confirm_app(user, form.cleaned_data["code"])
        except WrongCode as refusal:
            form.add_error("code", worded(refusal))
        else:
            django_otp.login(request, app)  # this session has shown a code now
            _note(request, user, gettext_lazy("Set up two-step sign-in."))
            return _codes_page(request, codes, is_new=True)
    app = one_time_passwords.app_being_set_up(user)
    if app is None:
        return HttpResponseRedirect(reverse("two_steps"))
    page = _page(
        request,
        "set_up.html",
        gettext("Set up two-step sign-in"),
        form=form,
        picture=_picture(app),
        secret=one_time_passwords.spelled_secret(app),
        issuer=app.config_url.partition("issuer=")[2],
        replaces=one_time_passwords.has_app(user),
    )
    add_never_cache_headers(page)
    return page


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def renew(request: HttpRequest) -> HttpResponse:
    """New backup codes instead of the old, for a code."""
    user = _person(request)
    form = _code_form(request)
    if request.method == "POST" and form.is_valid():
        try:
            codes = one_time_passwords.renew_backup_codes(user, form.cleaned_data["code"])
        except WrongCode as refusal:
            form.add_error("code", worded(refusal))
        else:
            _note(request, user, gettext_lazy("Made new backup codes."))
            return _codes_page(request, codes, is_new=False)
    sentences = [gettext("Ten new codes are made and shown once. The old ones stop working at once.")]
    return _asking(request, form, gettext("New backup codes"), sentences, gettext("Make new codes"))


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def switch_off(request: HttpRequest) -> HttpResponse:
    """Back to the password alone, for a code."""
    user = _person(request)
    form = _code_form(request)
    if request.method == "POST" and form.is_valid():
        try:
            one_time_passwords.switch_off(user, form.cleaned_data["code"])
        except WrongCode as refusal:
            form.add_error("code", worded(refusal))
        else:
            _note(request, user, gettext_lazy("Switched two-step sign-in off."))
            messages.success(request, gettext("Two-step sign-in is off. Your password alone signs you in."))
            return HttpResponseRedirect(reverse("two_steps"))
    sentences = [
        gettext("From now on your password alone signs you in: whoever learns it, gets in."),
        gettext("The app's entry and all backup codes stop working."),
    ]
    return _asking(
        request, form, gettext("Switch off two-step sign-in"), sentences, gettext("Switch off"), "danger"
    )


def _code_form(request: HttpRequest) -> CodeForm:
    return CodeForm(request.POST if request.method == "POST" else None)


def _asking(
    request: HttpRequest,
    form: CodeForm,
    title: str,
    sentences: list[str],
    button: str,
    variant: str = "primary",
) -> HttpResponse:
    """A page that says what will happen, and asks for a code. Who has no app has nothing to do here."""
    if not one_time_passwords.has_app(_person(request)):
        return HttpResponseRedirect(reverse("two_steps"))
    context = {"form": form, "sentences": sentences, "button": button, "variant": variant}
    return _page(request, "ask_code.html", title, back_url=reverse("two_steps"), **context)


def _codes_page(request: HttpRequest, codes: list[str], *, is_new: bool) -> HttpResponse:
    """The codes, in the answer to the very request that made them; no other page can show them."""
    page = _page(
        request,
        "backup_codes.html",
        gettext("Your backup codes"),
        codes=codes,
        text="\n".join([f"Meterbook, {request.user.get_username()}", *codes, ""]),
        is_new=is_new,
    )
    add_never_cache_headers(page)
    return page


def _picture(app: TOTPDevice) -> SafeString:
    """The secret for the camera: dark on white in both themes, for cameras don't read it otherwise."""
    drawn = segno.make(app.config_url, error="m").svg_inline(
        scale=5, border=4, light="#fff", dark="#000", omitsize=True, title=gettext("QR code for the app")
    )
    return mark_safe(drawn)  # noqa: S308 (drawn by segno, which escapes the title)
