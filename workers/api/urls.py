"""Addresses under ``/api/v1/``."""

from django.urls import path

from workers.api import views

urlpatterns = [
    path("jobs", views.JobsView.as_view()),
    path("jobs/<str:job_id>", views.JobView.as_view()),
    path("jobs/<str:job_id>/cancel", views.CancelJobView.as_view()),
    path("jobs/<str:job_id>/retry", views.RetryJobView.as_view()),
]
