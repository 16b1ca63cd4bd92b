"""The queues workers listen on, and the classes of jobs within one."""

from enum import IntEnum, StrEnum


class Queue(StrEnum):
    """The queues workers listen on."""

    DEFAULT = "default"
    SCAN = "scan"
    INFERENCE = "inference"
    """Models on processors."""
    INFERENCE_GPU = "inference-gpu"
    """Models on graphics cards."""
    SENDERS = "senders"
    """Talks to receivers strangers chose, which may hang."""


MODEL_QUEUES = (Queue.INFERENCE, Queue.INFERENCE_GPU)
"""Queues by hardware class: which of them a job waits in depends on what it needs and who is
there (``store.core.placing``)."""


class Priority(IntEnum):
    """Classes of jobs in one queue: while one of a lower number is due, no other is begun."""

    PERSON = 0
    """Somebody waits for it."""
    BATCH = 1
    """A person's work that nobody watches: an evaluation they asked for, say."""
    STORE = 2
    """The store's own: demo generations, evaluations of new revisions, upkeep."""
