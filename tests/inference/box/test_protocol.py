"""What the trusted side believes of what a box says, and how sampling is bounded."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from inference.box import protocol
from inference.box.params import SamplingParams
from inference.box.protocol import FrameError, parse_event, parse_request

TOKEN: dict[str, Any] = {
    "event": "token",
    "id": "a",
    "sequence": 0,
    "number": 0,
    "token_id": 5,
    "text": "x",
}


def frame_of(**changes: Any) -> bytes:
    return json.dumps(TOKEN | changes).encode()


def test_every_event_survives_the_journey() -> None:
    held = protocol.Protection(
        network="seccomp", files="open", syscalls=True, user="same", capabilities=False, notes=["n"]
    )
    events: list[protocol.Event] = [
        protocol.HelloEvent(protection=held),
        protocol.LoadedEvent(
            architecture="A",
            model_type="a",
            parameters=1,
            context_tokens=2,
            vocabulary=3,
            format="gguf",
            dtype="float32",
            device="cpu",
            load_s=0.5,
            rss_bytes=4,
        ),
        protocol.StartedEvent(id="a", prompt_tokens=1, max_new_tokens=2),
        protocol.TokenEvent(id="a", sequence=7, number=4095, token_id=0, text="ü\n"),
        protocol.EndedEvent(id="a", sequence=0, finish_reason="stop", new_tokens=0, text=""),
        protocol.DoneEvent(
            id="a", prompt_tokens=1, new_tokens=2, first_token_s=0.1, generate_s=1, rss_bytes=0
        ),
        protocol.ErrorEvent(code="prompt_too_long", message="m"),
        protocol.PongEvent(),
    ]

    for event in events:
        assert parse_event(protocol.pack(event)[4:]) == event


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b'{"event":"token"}',
        b'{"event":"nothing"}',
        b"[" * 100_000,
        b'{"event":"pong"}{',
        b'{"event":"pong","more":1}',
        frame_of(text="\x00"),
        frame_of(text="x" * 8193),
        frame_of(sequence=8),
        frame_of(sequence=-1),
        frame_of(sequence=True),
        frame_of(sequence="0"),
        frame_of(number=4096),
        frame_of(token_id=1.5),
        frame_of(id="../x"),
        frame_of(id="a" * 65),
        json.dumps(TOKEN)[:-1].encode() + b',"text":"\\ud800"}',
        b'{"event":"done","id":"a","prompt_tokens":1,"new_tokens":1,'
        b'"first_token_s":NaN,"generate_s":1,"rss_bytes":1}',
        b'{"event":"done","id":"a","prompt_tokens":1,"new_tokens":1,'
        b'"first_token_s":1e999,"generate_s":1,"rss_bytes":1}',
        b'{"event":"done","id":"a","prompt_tokens":1,"new_tokens":' + b"9" * 5000 + b"}",
        b'{"event":"error","code":"<script>","message":""}',
    ],
)
def test_what_is_not_an_event_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameError):
        parse_event(frame)


def test_requests_survive_the_journey() -> None:
    request = protocol.GenerateRequest(
        id="a", prompt="ü", params=SamplingParams(seed=3, stop=("x",), temperature=0)
    )

    assert parse_request(protocol.pack(request)[4:]) == request


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 4097},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0},
        {"top_p": 1.01},
        {"top_k": -1},
        {"repetition_penalty": 0.49},
        {"seed": -1},
        {"seed": 2**32},
        {"num_sequences": 0},
        {"num_sequences": 9},
        {"stop": ("",)},
        {"stop": ("x" * 65,)},
        {"stop": ("a", "b", "c", "d", "e")},
        {"temperature": 0, "num_sequences": 2},
        {"num_beams": 4096},
    ],
)
def test_sampling_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SamplingParams(**({"seed": 1} | wrong))


def test_a_seed_that_is_not_given_is_drawn() -> None:
    seeds = {SamplingParams().seed for _ in range(8)}

    assert len(seeds) > 1


@pytest.mark.parametrize(
    ("network", "enough", "words"),
    [
        ("namespace", True, "no network (own network namespace)"),
        ("user-namespace", True, "no network (own user and network namespace)"),
        ("seccomp", True, "no network (sockets refused)"),
        ("open", False, "NETWORK OPEN"),
    ],
)
def test_protection_says_what_holds(network: protocol.Network, enough: bool, words: str) -> None:
    held = protocol.Protection(
        network=network, files="landlock", syscalls=True, user="own", capabilities=False, notes=[]
    )

    assert held.is_enough is enough
    assert words in held.sentence


@pytest.mark.parametrize(
    ("files", "user", "enough"),
    [("landlock", "same", True), ("open", "own", True), ("open", "same", False)],
)
def test_something_keeps_the_stores_files_closed(files: Any, user: Any, enough: bool) -> None:
    held = protocol.Protection(
        network="seccomp", files=files, syscalls=True, user=user, capabilities=False
    )

    assert held.is_enough is enough


def test_protection_says_what_is_missing() -> None:
    held = protocol.Protection(
        network="open", files="open", syscalls=False, user="same", capabilities=True, notes=[]
    )

    assert held.sentence == (
        "models run in a box: NETWORK OPEN, FILES OPEN to its user, SYSTEM CALLS NOT FILTERED, "
        "the store's user, RIGHTS OF ROOT KEPT"
    )
