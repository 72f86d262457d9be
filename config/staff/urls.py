"""Routes of signing in and of one's own account; before the admin's own, whose sign-in they replace."""

from django.contrib import admin
from django.urls import path

from . import account_pages
from .sign_in import CodeView, SignInView

own = admin.site.admin_view

urlpatterns = [
    path("login/", SignInView.as_view(), name="sign_in"),
    path("login/code/", CodeView.as_view(), name="sign_in_code"),
    path("account/", own(account_pages.preferences), name="preferences"),
    path("account/two-steps/", own(account_pages.two_steps), name="two_steps"),
    path("account/two-steps/begin/", own(account_pages.begin), name="two_steps_begin"),
    path("account/two-steps/set-up/", own(account_pages.set_up), name="two_steps_set_up"),
    path("account/two-steps/codes/", own(account_pages.renew), name="two_steps_codes"),
    path("account/two-steps/off/", own(account_pages.switch_off), name="two_steps_off"),
]
