"""Addresses of downloads that are no single file, of keys, and of what payment gateways send."""

from django.urls import path

from licensing import views, views_gateways, views_keys

urlpatterns = [
    path("gateways/<slug:name>/events", views_gateways.receive_event),
    path(".well-known/jwks.json", views_keys.jwks),
    path("<seg:ns>/<seg:name>/archive/<rev:rev>.zip", views.download_all),
]
