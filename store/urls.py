"""All addresses, room by room. Fixed words come before names of people and models."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView

from store.api_docs import docs_page
from store.health import healthz, readyz
from store.metrics import metrics

handler404 = "store.site_pages.nothing_here"

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("api/v1/openapi.json", SpectacularJSONAPIView.as_view()),
    path("api/v1/docs", docs_page),
    path("api/v1/", include("licensing.api.license_urls")),  # asked at every start of programs
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("catalog.api.urls")),
    path("api/v1/", include("inference.api.urls")),
    path("api/v1/", include("licensing.api.urls")),
    path("api/v1/", include("licensing.api.seller_urls")),
    path("api/v1/", include("workers.api.urls")),
    path("", include("store.site_urls")),
    path("", include("workers.urls")),
    path("", include("accounts.urls")),
    path("", include("hub.urls")),  # before the next: it has /v1/telemetry
    path("v1/", include("inference.openai.urls")),
    path("", include("licensing.urls")),
    path("", include("inference.urls")),
    path("", include("catalog.urls")),
]
