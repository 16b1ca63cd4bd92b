"""The administration's view of evaluations: to be read. Nobody edits what was measured."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from inference.models import EvaluationNote, EvaluationRun, Score, Suite


@admin.register(Suite)
class SuiteAdmin(ReadOnlyAdmin[Suite]):
    """Public suites; data sets of people are theirs."""

    list_display = ("key", "version", "kind", "title", "is_ranked", "created_at")
    list_filter = ("kind",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Suite]":
        return super().get_queryset(request).filter(is_public=True)


class ScoreInline(admin.TabularInline[Score, EvaluationRun]):
    """The figures of a run."""

    model = Score
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(EvaluationRun)
class EvaluationRunAdmin(ReadOnlyAdmin[EvaluationRun]):
    """Public runs; private ones are their asker's alone."""

    list_display = ("public_id", "repo", "suite", "state", "created_at", "finished_at")
    list_filter = ("state",)
    search_fields = ("public_id", "repo__name")
    inlines = (ScoreInline,)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[EvaluationRun]":
        return super().get_queryset(request).filter(is_public=True)


@admin.register(EvaluationNote)
class EvaluationNoteAdmin(ReadOnlyAdmin[EvaluationNote]):
    """What publishers and staff said of runs."""

    list_display = ("run", "author", "created_at")
