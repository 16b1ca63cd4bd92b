"""Addresses of the pages about background work."""

from django.urls import path

from workers import views

urlpatterns = [
    path("jobs", views.all_jobs),
    path("settings/jobs", views.own_jobs),
    path("settings/jobs/<seg:job_id>", views.job_page),
    path("settings/jobs/<seg:job_id>/cancel", views.cancel_job),
    path("settings/jobs/<seg:job_id>/retry", views.retry_job),
]
