"""Signing in: the password, and for those who have an app the code. A session begins after both."""

from dataclasses import asdict, dataclass
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView, RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from metering.admin.refusals import worded

from .lockout import locked_page
from .one_time_passwords import WrongCode, accept_code, has_app

_KEY = "meterbook_first_step"
# So long the code may be entered after the password; then the password is asked for again.
FIRST_STEP_SECONDS = 300


@dataclass(frozen=True, slots=True)
class FirstStep:
    """What the anonymous session remembers of somebody whose password was right."""

    user_id: int
    backend: str
    password_mark: str  # changes with the password, which ends this
    begun_at: float
    next_url: str


def user_of(step: FirstStep, *, at: float) -> User | None:
    """Who may enter a code now: None once it took too long, or the account or its password changed."""
    user = User.objects.filter(pk=step.user_id, is_active=True, is_staff=True).first()
    if user is None or not 0 <= at - step.begun_at <= FIRST_STEP_SECONDS:
        return None
    if not constant_time_compare(step.password_mark, user.get_session_auth_hash()):
        return None
    user.backend = step.backend
    return user


class SignInView(LoginView):
    """Name and password, as Django's admin asks for them."""

    authentication_form = AuthenticationForm
    template_name = "admin/login.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "GET" and admin.site.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **admin.site.each_context(self.request),
            title=_("Log in"),
            app_path=self.request.get_full_path(),
            username=self.request.user.get_username(),
            **kwargs,
        )

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if not has_app(user):
            return super().form_valid(form)
        step = FirstStep(
            user_id=user.pk,
            backend=user.backend,
            password_mark=user.get_session_auth_hash(),
            begun_at=timezone.now().timestamp(),
            next_url=self.get_success_url(),
        )
        # A person who was signed in by another name is so no more.
        self.request.session.flush()
        self.request.session[_KEY] = asdict(step)
        return HttpResponseRedirect(reverse("sign_in_code"))


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
        help_text=_("Six digits from your app, or one of your backup codes."),
    )


@method_decorator([sensitive_post_parameters(), csrf_protect, never_cache], name="dispatch")
class CodeView(RedirectURLMixin, FormView):
    """The second step. A wrong code counts like a wrong password, and makes the app wait as well."""

    form_class = CodeForm
    template_name = "admin/sign_in/code.html"
    success_url = reverse_lazy("admin:index")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.user = self._waiting_user()
        if self.user is None:
            return HttpResponseRedirect(reverse("admin:login"))
        if not AxesProxyHandler.is_allowed(request, self._credentials()):
            return locked_page(request)
        return super().dispatch(request, *args, **kwargs)

    def _waiting_user(self) -> User | None:
        kept = self.request.session.get(_KEY)
        if kept is None:
            return None
        self.step = FirstStep(**kept)
        user = user_of(self.step, at=timezone.now().timestamp())
        if user is None:
            del self.request.session[_KEY]
        return user

    def _credentials(self) -> dict[str, str]:
        assert self.user is not None
        return {"username": self.user.get_username()}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = admin.site.each_context(self.request)
        return super().get_context_data(
            **context, title=gettext("One-time password"), contact=settings.SIGN_IN_CONTACT, **kwargs
        )

    def form_valid(self, form: Any) -> HttpResponse:
        assert self.user is not None
        try:
            device = accept_code(self.user, form.cleaned_data["code"])
        except WrongCode as refusal:
            user_login_failed.send(sender=__name__, credentials=self._credentials(), request=self.request)
            form.add_error("code", worded(refusal))
            return self.form_invalid(form)
        del self.request.session[_KEY]
        self.user.otp_device = device  # type: ignore[attr-defined]  # login() notes it in the session
        login(self.request, self.user)
        return HttpResponseRedirect(self.step.next_url)
