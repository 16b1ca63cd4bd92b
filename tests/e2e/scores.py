"""A shelf of measured models, for looking at in a browser.

Run beside a live store: ``manage.py shell -c "from tests.e2e.scores import fill; fill()"``.
"""

import random
from datetime import timedelta

from django.utils import timezone

from accounts.models import User
from catalog.models import Listing, ModelRepo
from inference.models import EvaluationNote, EvaluationRun, Suite
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo, make_user
from tests.inference.measured import add_commit, add_samples, add_shards, make_run

OWNER = "lovelace"
DEMO = "austen-gpt2-small"
CARD = b"""---
license: mit
model-index:
- name: small
  results:
  - task: {type: text-generation}
    dataset: {type: wikitext, name: WikiText-2}
    metrics: [{type: perplexity, value: 24.13}, {type: accuracy, value: 0.41}]
    source: {url: "https://example.org/paper", name: Our paper}
---
# A small model

It writes.
"""
SHELF = {
    "engine-tiny": (1_200_000, 0.21),
    "engine-small": (14_000_000, 0.34),
    "engine-base": (124_000_000, 0.47),
    "engine-large": (774_000_000, 0.49),
    "wordy-base": (160_000_000, 0.31),
    "wordy-large": (1_500_000_000, 0.62),
    "a-model-with-quite-a-long-name-that-has-to-fit-somewhere": (410_000_000, 0.45),
}


def suite_of(key: str, title: str, summary: str) -> Suite:
    """A built-in suite, as the store has it or made."""
    values = {
        "kind": "builtin",
        "title": title,
        "summary": summary,
        "spec": {},
        "digest": "0" * 64,
        "is_ranked": True,
    }
    suite, _made = Suite.objects.get_or_create(key=key, version=1, defaults=values)
    return suite


def fill() -> None:
    """Make the shelf."""
    draw = random.Random(7)
    owner = User.objects.filter(username=OWNER).first() or make_user(OWNER)
    sums = suite_of("sums", "Sums in words", "Two numbers under 100, added and taken away.")
    bits = suite_of("bits", "Predicting novels", "Bits per byte on novels of the public domain.")
    rate = suite_of("rate", "Speed and memory", "Tokens per second, alone.")
    for name, (parameters, share) in SHELF.items():
        repo = make_repo(owner, name, files={"README.md": CARD})
        rows = Listing.objects.filter(repo=repo)
        rows.update(
            parameters=parameters,
            weights_bytes=2 * parameters,
            architecture="GPT2LMHeadModel",
            context_length=1024,
            dtype="F16",
            formats=["safetensors"],
            is_runnable=True,
            not_runnable_reason="",
        )
        _measure(repo, sums, bits, rate, share, draw)
    first = ModelRepo.objects.get(name="engine-base")
    _open_ones(first, owner)


def _measure(
    repo: ModelRepo, sums: Suite, bits: Suite, rate: Suite, share: float, draw: random.Random
) -> None:
    for depth, (digit, less) in enumerate((("1", 0.12), ("2", 0.05))):
        oid = add_commit(repo, digit * 40, depth - 3)
        make_run(repo, sums, share - less, half=0.04, commit_oid=oid, days=depth, samples=500)
    worths = [float(draw.random() < share) for _place in range(120)]
    run = make_run(repo, sums, sum(worths) / 120, half=0.045, samples=120, days=9)
    add_samples(run, worths)
    make_run(
        repo,
        bits,
        1.9 - share,
        half=0.02,
        unit="bits/byte",
        metric="bits_per_byte",
        is_higher_better=False,
        samples=40,
        days=9,
    )
    speed = 900 * (1.2 - share) ** 3
    make_run(repo, rate, speed, half=None, unit="tokens/s", metric="single_tokens_per_s", days=9)


def _open_ones(repo: ModelRepo, owner: User) -> None:
    slow = suite_of("slow", "Instructions", "Rules that can be checked.")
    began = timezone.now() - timedelta(minutes=4)
    job = Job.objects.create(  # without a worker's, the store would see that the run is lost
        name=JobName.EVALUATE,
        queue="nobody",
        state=Job.State.RUNNING,
        lease_owner="a test",
        lease_until=began + timedelta(days=1),
    )
    state = EvaluationRun.State.RUNNING
    running = make_run(repo, slow, None, state=state, job=job, started_at=began, finished_at=None)
    add_shards(running, done=3, total=9)
    broken = suite_of("broken", "Repetition", "How soon it repeats itself.")
    make_run(
        repo,
        broken,
        None,
        state=EvaluationRun.State.FAILED,
        error_code="out_of_memory",
        error="The model needs more memory than this worker may give it.",
    )
    run = EvaluationRun.objects.filter(repo=repo, suite__key="sums").latest("finished_at")
    EvaluationNote.objects.create(run=run, author=owner, text="Sample 3 lacks a space.\nSee it.")
