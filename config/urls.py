"""All routes: the admin, the API and its documentation, health and metrics."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

from metering.admin.history import history_page
from metering.admin.put_back import put_back_page
from metering.admin.search_page import search_page

from . import api_root, health, problem_kinds, telemetry

handler400 = "config.problems.bad_request"
handler403 = "config.problems.permission_denied"
handler404 = "config.problems.not_found"
handler500 = "config.problems.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    # Browsers ask for it on pages without a frame of ours, such as a plain error.
    path("favicon.ico", RedirectView.as_view(url=static("metering/icon.svg"))),
    # Before the theme's own, which knows only names of pages.
    path("admin/search/", admin.site.admin_view(search_page), name="search_everywhere"),
    path("admin/history/", admin.site.admin_view(history_page), name="history_of_changes"),
    path(
        "admin/history/<str:what>/<int:change_id>/put-back/",
        admin.site.admin_view(put_back_page),
        name="put_back",
    ),
    path("admin/", include("config.staff.urls")),
    # The pages of an app are in the sidebar, and what they ask for is on Home.
    re_path(
        rf"^admin/(?:{'|'.join(sorted({model._meta.app_label for model in admin.site._registry}))})/$",
        RedirectView.as_view(pattern_name="admin:index"),
    ),
    path("admin/", admin.site.urls),
    path("api/", api_root.guide, name="api"),
    path("api/v1/", api_root.guide),
    path("api/v1/", include("metering.api.urls")),
    path("api/v1/", include("quotas.api.urls")),
    path("api/v1/", include("billing.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/redoc/", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
    path("problems/<slug:kind>", problem_kinds.explained, name="problem"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", telemetry.metrics, name="metrics"),
]
