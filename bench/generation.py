"""Texts a second: one user, sixteen at once, beside transformers' own ``generate`` in the same run.

The box is measured from outside, by the threads that read its answers, with the demo catalogue's
2.2 M model; the reference is transformers alone in a process of its own, with the same prompts,
parameters and one thread of computation. Fairness, cold starts and switches use a random GPT-2 of
5 M parameters with room for 4,096 tokens. One row says what each figure is about.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inference.box.client import Box
from inference.box.limits import BoxLimits
from inference.box.params import SamplingParams
from inference.box.protocol import StartedEvent, TokenEvent
from inference.box.spares import WarmStarter

MODEL = Path("demo/models/regency/austen-gpt2-small")
USERS = 16
NEW_TOKENS = 120
ROUNDS = 5
LONG_TOKENS = 2000
LIMITS = BoxLimits(device="cpu")
PROMPTS = [
    f"{name} {verb}"
    for name in ("Elinor", "Emma", "Mr. Darcy", "The Miss Bertrams")
    for verb in ("could not help", "was of the opinion that", "walked to", "had never in a life")
]

_REFERENCE = """
import json, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.set_num_threads(1)
folder, prompts = sys.argv[1], json.loads(sys.argv[2])
most, rounds = int(sys.argv[3]), int(sys.argv[4])
tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
options = dict(do_sample=True, temperature=0.8, top_k=0, max_new_tokens=most, min_new_tokens=most,
               pad_token_id=tokenizer.pad_token_id)
def speed(batches):
    torch.manual_seed(1)
    began = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            model.generate(**tokenizer(batch, return_tensors="pt", padding=True), **options)
    return len(prompts) * most / (time.perf_counter() - began)
speed([prompts[:1]])
found = {"alone": [], "together": []}
for _ in range(rounds):
    found["alone"].append(speed([[prompt] for prompt in prompts]))
    found["together"].append(speed([prompts]))
print(json.dumps(found))
"""


@dataclass
class Heard:
    """What one reader of an answer saw.

    Attributes:
        times: When each token came, on the monotonic clock.
        began: When the request was sent.
        prompt_tokens: How long the model found the prompt.
    """

    began: float
    times: list[float] = field(default_factory=list)
    prompt_tokens: int = 0

    @property
    def first_ms(self) -> float:
        """From the request to the first token, in milliseconds."""
        return (self.times[0] - self.began) * 1000


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    reference = _reference()
    with tempfile.TemporaryDirectory() as folder:
        wide = _wide_model(Path(folder) / "wide")
        return [*_speeds(reference), *_fairness(wide), *_starts(wide)]


def _reference() -> dict[str, float]:
    done = subprocess.run(
        [
            *(sys.executable, "-c", _REFERENCE, str(MODEL.resolve()), json.dumps(PROMPTS)),
            *(str(NEW_TOKENS), str(ROUNDS)),
        ],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: statistics.median(speeds) for name, speeds in found.items()}


def _wide_model(folder: Path) -> Path:
    made = (
        "import sys; from pathlib import Path; from tests.inference.box import tiny_models;"
        "tiny_models.gpt2(Path(sys.argv[1]), n_positions=4096, n_embd=256, n_layer=5, n_head=4,"
        "eos_token_id=99_999)"  # never drawn: texts go on as long as they may
    )
    subprocess.run([sys.executable, "-c", made, str(folder)], check=True)
    return folder


def hear(box: Box, prompt: str, *, most: int = NEW_TOKENS, seed: int = 1) -> Heard:
    """Read an answer to its end."""
    heard = Heard(time.monotonic())
    params = SamplingParams(seed=seed, max_new_tokens=most)
    for event in box.generate(prompt, params):
        if isinstance(event, StartedEvent):
            heard.prompt_tokens = event.prompt_tokens
        elif isinstance(event, TokenEvent):
            heard.times.append(time.monotonic())
    return heard


def hear_all(box: Box, prompts: list[str]) -> tuple[float, list[Heard]]:
    """Read answers to all prompts at once; return tokens a second, and what was heard."""
    found: list[Heard] = []

    def read(number: int, prompt: str) -> None:
        found.append(hear(box, prompt, seed=number))

    threads = [threading.Thread(target=read, args=each) for each in enumerate(prompts)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - began
    return sum(len(heard.times) for heard in found) / took_s, found


def _speeds(reference: dict[str, float]) -> list[tuple[str, str]]:
    alone: list[float] = []
    together: list[float] = []
    firsts: list[float] = []
    with Box.start(MODEL, limits=LIMITS) as box:
        hear(box, PROMPTS[0])
        for _ in range(ROUNDS):
            began = time.monotonic()
            heard = [hear(box, prompt) for prompt in PROMPTS]
            alone.append(sum(len(each.times) for each in heard) / (time.monotonic() - began))
            speed, heard = hear_all(box, PROMPTS)
            together.append(speed)
            firsts += [each.first_ms for each in heard]
    one, many = statistics.median(alone), statistics.median(together)
    p95 = statistics.quantiles(firsts, n=20)[18]
    plain, batched = reference["alone"], reference["together"]
    return [
        ("transformers, 16 prompts one by one", f"{plain:.0f} tokens/s"),
        ("transformers, 16 prompts in one batch", f"{batched:.0f} tokens/s"),
        ("one user (≥ 0.95 of one by one)", f"{one:.0f} tokens/s, {one / plain:.2f}"),
        ("16 users at once (≥ 4 of one by one)", f"{many:.0f} tokens/s, {many / plain:.1f}"),
        ("16 users at once (≥ 0.9 of one batch)", f"{many / batched:.2f}"),
        ("first token, 16 users at once, p95", f"{p95:.0f} ms"),
    ]


def _fairness(wide: Path) -> list[tuple[str, str]]:
    """Watch a running text while a long prompt comes in beside it."""
    with Box.start(wide, limits=LIMITS) as box:
        hear(box, "a", most=20)
        stream = Heard(time.monotonic())
        long: list[Heard] = []

        def read_long() -> None:
            long.append(hear(box, "a " * (LONG_TOKENS - 2), most=2))

        other = threading.Thread(target=read_long)
        steady = SamplingParams(temperature=0, max_new_tokens=1800)  # goes in circles, never ends
        for event in box.generate("a", steady):
            if isinstance(event, TokenEvent):
                stream.times.append(time.monotonic())
                if len(stream.times) == 200:
                    other.start()
        other.join()
    gaps = [b - a for a, b in zip(stream.times, stream.times[1:], strict=False)]
    step_s = statistics.median(gaps[100:198])
    after = gaps[199:]
    first = long[0].times[0]
    until = sum(1 for moment in stream.times[200:] if moment < first)
    while_read, then = max(after[: until - 1]), max(after[until - 1 : until + 2])
    return [
        ("a step of one text, 5 M parameters", f"{step_s * 1000:.1f} ms"),
        (
            f"longest pause of it while {long[0].prompt_tokens} tokens are read (≤ 2 steps more)",
            f"{while_read * 1000:.1f} ms, {while_read / step_s - 1:.1f} steps more",
        ),
        ("median and 99th percentile of them", _more(after[: until - 1], step_s)),
        (
            "the same where the long one writes its first tokens, and both are joined",
            f"{then * 1000:.1f} ms, {then / step_s - 1:.1f} steps more",
        ),
        ("first token after such a prompt, beside it", f"{long[0].first_ms / 1000:.1f} s"),
    ]


def _more(gaps_s: list[float], step_s: float) -> str:
    median, high = statistics.median(gaps_s), statistics.quantiles(gaps_s, n=100)[98]
    return f"{median / step_s - 1:.1f} and {high / step_s - 1:.1f} steps more, {len(gaps_s)} gaps"


@contextmanager
def _warm() -> Iterator[WarmStarter]:
    starter = WarmStarter(LIMITS)
    try:
        time.sleep(15)  # the spare has imported torch
        yield starter
    finally:
        starter.close()


def _starts(wide: Path) -> list[tuple[str, str]]:
    began = time.monotonic()
    with Box.start(wide, limits=LIMITS) as box:
        hear(box, "a", most=1)
        cold_s = time.monotonic() - began
    with _warm() as starter:
        began = time.monotonic()
        with starter(wide, limits=LIMITS) as first:
            hear(first, "a", most=1)
            warm_s = time.monotonic() - began
            with starter(MODEL, limits=LIMITS) as second:
                hear(second, "a", most=1)
                pairs = [
                    hear(box, "a", most=1).first_ms for _ in range(20) for box in (first, second)
                ]
    return [
        ("first token of a cold model, 5 M parameters (< 3 s)", f"{warm_s:.2f} s"),
        ("the same without a process that has imported torch", f"{cold_s:.2f} s"),
        (
            "first token after a switch between resident models (< 100 ms)",
            f"median {statistics.median(pairs):.1f} ms, worst {max(pairs):.1f} ms",
        ),
    ]
