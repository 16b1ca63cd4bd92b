"""Addresses of downloads that are no single file."""

from django.urls import path

from licensing import views

urlpatterns = [
    path("<seg:ns>/<seg:name>/archive/<rev:rev>.zip", views.download_all),
]
