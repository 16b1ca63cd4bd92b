"""Addresses of licenses under ``/api/v1/``. Fixed words come before ids."""

from django.urls import path

from licensing.api import license_key_views as by_key
from licensing.api import license_views as views
from licensing.api import seat_views as seats

ONE = "licenses/<str:public_id>"

urlpatterns = [
    path("licenses/validate", by_key.ValidateView.as_view()),
    path("licenses/activate", by_key.ActivateView.as_view()),
    path("licenses/heartbeat", by_key.HeartbeatView.as_view()),
    path("licenses/deactivate", by_key.DeactivateView.as_view()),
    path("licenses/checkout", by_key.CheckoutView.as_view()),
    path("licenses", views.LicensesView.as_view()),
    path(ONE, views.LicenseView.as_view()),
    path(f"{ONE}/key", views.KeyView.as_view()),
    path(f"{ONE}/rotate", views.RotateView.as_view()),
    path(f"{ONE}/suspend", views.SuspendView.as_view()),
    path(f"{ONE}/reinstate", views.ReinstateView.as_view()),
    path(f"{ONE}/file", views.FileView.as_view()),
    path(f"{ONE}/files", views.FilesView.as_view()),
    path(f"{ONE}/updates", views.UpdatesView.as_view()),
    path(f"{ONE}/renew", views.RenewView.as_view()),
    path(f"{ONE}/subscription", views.SubscriptionView.as_view()),
    path(f"{ONE}/subscription/cancel", views.EndSubscriptionView.as_view()),
    path(f"{ONE}/subscription/resume", views.ResumeSubscriptionView.as_view()),
    path(f"{ONE}/activations", seats.ActivationsView.as_view()),
    path(f"{ONE}/activations/<str:activation>", seats.ActivationView.as_view()),
    path(f"{ONE}/activations/<str:activation>/transfer", seats.TransferView.as_view()),
    path(f"{ONE}/checkout", seats.HeldFilesView.as_view()),
]
