"""Addresses of downloads that are no single file, and of the keys that verify licenses."""

from django.urls import path

from licensing import seller_urls, views, views_keys

urlpatterns = [
    path(".well-known/jwks.json", views_keys.jwks),
    path("<seg:ns>/<seg:name>/archive/<rev:rev>.zip", views.download_all),
    *seller_urls.urlpatterns,
]
