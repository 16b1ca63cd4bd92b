"""Celery's side of the work: one task that runs a job row, and the beat's errands."""
