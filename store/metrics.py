"""``/metrics``: how full queues are, who works, how long things take, as Prometheus text."""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from store.core.errors import NotFoundError
from store.core.histograms import HISTOGRAMS, Histogram, Series
from store.core.placing import present
from store.core.presence import Worker
from store.core.queue_figures import QueueFigures, figures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, str], float]
"""Labels and value of one line."""


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the figures of queues and workers to whoever has ``STORE_METRICS_TOKEN``.

    Raises:
        NotFoundError: no or another token was sent, or the site has none: the same for all.
    """
    token = settings.ENV.metrics_token.get_secret_value()
    sent = request.headers.get("Authorization", "")
    if not token or not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        raise NotFoundError(_("There is nothing at this address."))
    text = "".join([*_of_queues(figures()), *_of_workers(present()), *_of_times()])
    answer = HttpResponse(text, content_type=CONTENT_TYPE)
    answer["Cache-Control"] = "no-store"
    return answer


def gauge(name: str, about: str, samples: Iterable[Sample]) -> str:
    """Return one metric as the text format has it: two lines about it, one for each sample."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
    return "\n".join([*lines, *(_line(name, *sample) for sample in samples), ""])


def histogram(measured: Histogram, found: Iterable[Series]) -> str:
    """Return one histogram as the text format has it: buckets hold what is below their end."""
    name = measured.name
    lines = [f"# HELP {name} {measured.about}", f"# TYPE {name} histogram"]
    ends = [*(f"{bound:g}" for bound in measured.bounds), "+Inf"]
    for each in found:
        counts = list(accumulate(each.counts))
        lines += [
            _line(f"{name}_bucket", each.labels | {"le": end}, count)
            for end, count in zip(ends, counts, strict=True)
        ]
        lines.append(_line(f"{name}_sum", each.labels, each.total))
        lines.append(_line(f"{name}_count", each.labels, counts[-1]))
    return "\n".join([*lines, ""])


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    words = ",".join(f'{label}="{_escaped(word)}"' for label, word in labels.items())
    return f"{name}{{{words}}} {value:.12g}" if words else f"{name} {value:.12g}"


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _of_queues(queues: list[QueueFigures]) -> Iterator[str]:
    yield gauge(
        "store_jobs_waiting",
        "Jobs that are due, by queue and class.",
        (
            ({"queue": each.queue, "priority": rank.name.lower()}, count)
            for each in queues
            for rank, count in each.waiting.items()
        ),
    )
    single = {
        "store_jobs_delayed": ("Jobs whose time has not come.", "delayed"),
        "store_jobs_running": ("Jobs that workers are doing.", "running"),
        "store_jobs_stuck": ("Running jobs whose worker fell silent.", "stuck"),
        "store_jobs_without_worker": ("Due jobs no present worker can run.", "without_worker"),
        "store_jobs_oldest_wait_seconds": ("Wait of the oldest due job.", "oldest_wait_s"),
        "store_tokens_last_minute": (
            "Tokens written for jobs that ended in the last minute.",
            "tokens_in_last_minute",
        ),
    }
    for name, (about, field) in single.items():
        yield gauge(name, about, (({"queue": q.queue}, getattr(q, field)) for q in queues))
    yield gauge(
        "store_jobs_ended_last_minute",
        "Jobs that ended in the last minute, by how.",
        (
            ({"queue": each.queue, "state": state}, each.ended_in_last_minute.get(state, 0))
            for each in queues
            for state in ("done", "failed", "cancelled")
        ),
    )


def _of_times() -> Iterator[str]:
    """Nothing when Valkey does not answer, as for workers."""
    for measured in HISTOGRAMS:
        measured.flush()
        try:
            yield histogram(measured, list(measured.series()))
        except RedisError:
            return


def _of_workers(workers: list[Worker] | None) -> Iterator[str]:
    """Nothing at all when Valkey does not answer: no figure is better than a wrong one."""
    if workers is None:
        return
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for worker in workers:
        for queue in worker.queues:
            number, slots = counts.get((queue, worker.device), (0, 0))
            counts[queue, worker.device] = (number + 1, slots + worker.slots)
    for place, (name, about) in enumerate(
        (
            ("store_workers", "Workers heard of in the last minute, by queue and hardware."),
            ("store_worker_slots", "Jobs these workers can do at a time."),
        )
    ):
        yield gauge(
            name,
            about,
            (
                ({"queue": queue, "device": device}, both[place])
                for (queue, device), both in sorted(counts.items())
            ),
        )
    able = [worker for worker in workers if worker.protection]
    for name, about, field in (
        ("store_worker_memory_bytes", "Memory a model may have on a worker.", "memory_bytes"),
        ("store_boxes", "Models a worker holds in memory.", "boxes"),
        ("store_boxes_bytes", "Memory these models use.", "boxes_bytes"),
    ):
        yield gauge(
            name,
            about,
            (({"worker": w.name, "device": w.device}, getattr(w, field)) for w in able),
        )
