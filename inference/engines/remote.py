"""Runs models on an OpenAI-compatible server: vLLM, SGLang, llama-server, TGI, another store.

The operator named its address (``STORE_ENGINES``), so it may be anywhere; redirects are not
followed and no proxy is used, so that nothing else is reached by it.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2

from inference.box.conversation import Asked, Prompted, TokenPrompt
from inference.box.echo_messages import EchoToken
from inference.box.errors import BoxError, BoxTimeoutError, ModelRefusedError
from inference.box.orders import GenerationEvent
from inference.box.params import SamplingParams
from inference.engines.base import Work
from inference.engines.chunks import Reader
from inference.engines.config import Remote
from inference.engines.remote_errors import (
    RemoteAwayError,
    RemoteBrokeProtocolError,
    RemoteRefusedError,
)
from store.core.database import hand_back_connection

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
SILENCE_S = 120.0
"""Longest pause between two pieces of an answer, in seconds; a queue there counts, too."""
MAX_LINE_CHARS = 4 * 1024 * 1024
_OWN = ("top_k", "repetition_penalty")
"""What OpenAI's API has not, and most other servers have: sent only where it does something."""


class RemoteEngine:
    """One server.

    Args:
        remote: Where it is, and how it calls the model.
        transport: How requests travel; tests bring their own.
    """

    def __init__(self, remote: Remote, transport: httpx2.BaseTransport | None = None) -> None:
        self._remote = remote
        self._transport = transport

    @contextmanager
    def ready(
        self, run: Work, *, alone: bool, check: Callable[[], None]
    ) -> Iterator["RemoteModel"]:
        """See ``Engine.ready``; nothing is asked of the server yet."""
        check()
        hand_back_connection()
        timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
        headers = {"User-Agent": "gpt-store"}
        if key := key_of(self._remote):
            headers["Authorization"] = f"Bearer {key}"
        with httpx2.Client(
            base_url=str(self._remote.base_url).rstrip("/") + "/",
            headers=headers,
            timeout=timeout,
            trust_env=False,
            transport=self._transport,
        ) as client:
            yield RemoteModel(client, self._remote.model or run.repo.full_name)


def key_of(remote: Remote) -> str:
    """Return the key to send; empty: none.

    Raises:
        RemoteRefusedError: its file cannot be read.
    """
    if remote.api_key_file is None:
        return remote.api_key.get_secret_value()
    try:
        return Path(str(remote.api_key_file)).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise RemoteRefusedError(
            "The key for the server that runs this model cannot be read. Please tell the staff.",
            detail=str(error),
        ) from error


class RemoteModel:
    """A model on a server.

    Args:
        client: Knows address and key.
        name: What the model is called there.
    """

    def __init__(self, client: httpx2.Client, name: str) -> None:
        self._client = client
        self._name = name
        self._lock = threading.Lock()
        self._open: dict[str, httpx2.Response | None] = {}
        self._cancelled: set[str] = set()

    def generate(
        self, asked: Prompted, params: SamplingParams, *, request_id: str
    ) -> Iterator[GenerationEvent]:
        """See ``Generator.generate``."""
        if params.num_beams > 1:
            raise ModelRefusedError(
                "This model runs on a server that has no beam search; leave num_beams out.",
                reason="no_beams",
            )
        if isinstance(asked, TokenPrompt):
            raise _only_texts()
        path = "completions" if isinstance(asked, str) else "chat/completions"
        reader = Reader(request_id, params)
        with self._lock:
            self._open[request_id] = None
        try:
            with self._client.stream("POST", path, json=self._body(asked, params)) as answer:
                with self._lock:
                    self._open[request_id] = answer
                _check(answer)
                yield reader.started()
                for event in reader.events(_pieces(answer)):
                    yield event
                    if request_id in self._cancelled:
                        break
        except httpx2.TimeoutException as error:
            yield from self._ended_by(request_id, _timeout(), error)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            yield from self._ended_by(request_id, _away(str(error)), error)
        finally:
            with self._lock:
                self._open.pop(request_id, None)
        yield from reader.finished(is_cancelled=request_id in self._cancelled)

    def echo(
        self, asked: str | TokenPrompt, *, top: int | None, request_id: str
    ) -> Iterator[EchoToken]:
        """See ``Generator.echo``: servers elsewhere are not asked for that."""
        raise _only_texts()

    def cancel(self, request_id: str) -> None:
        """Hang up; the server sees that and stops."""
        with self._lock:
            if request_id not in self._open:
                return
            self._cancelled.add(request_id)
            answer = self._open[request_id]
            if answer is not None:
                _hang_up(answer)

    def _ended_by(
        self, request_id: str, failure: BoxError | RemoteAwayError, cause: Exception
    ) -> Iterator[GenerationEvent]:
        """Raise, unless we hung up ourselves."""
        if request_id not in self._cancelled:
            raise failure from cause
        yield from ()

    def _body(self, asked: Asked, params: SamplingParams) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._name,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": params.max_new_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "n": params.num_sequences,
            "seed": params.seed,
        }
        nothing = {"top_k": 0, "repetition_penalty": 1.0}
        sent = {name: getattr(params, name) for name in _OWN}
        body |= {name: value for name, value in sent.items() if value != nothing[name]}
        for name in ("frequency_penalty", "presence_penalty", "logit_bias"):
            if value := getattr(params, name):
                body[name] = value
        if params.stop:
            body["stop"] = list(params.stop)
        if isinstance(asked, str):
            logprobs = {} if params.logprobs is None else {"logprobs": params.logprobs}
            return body | {"prompt": asked} | logprobs
        body["messages"] = [message.model_dump() for message in asked]
        if params.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": params.logprobs}
        return body


def _only_texts() -> ModelRefusedError:
    return ModelRefusedError(
        "This model runs on a server that goes on from texts; send no token ids, and leave echo or"
        " logprobs out.",
        reason="only_texts",
    )


def _check(answer: httpx2.Response) -> None:
    """Refuse an answer that is no stream.

    Raises:
        ModelRefusedError: the server does not do what was asked, and says why.
        RemoteRefusedError, RemoteAwayError: its operator, or time, can help.
    """
    status = answer.status_code
    if status == HTTPStatus.OK:
        return
    answer.read()
    words = _words(answer)
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
        raise ModelRefusedError(words, reason="refused_elsewhere")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _away(f"{status}: {words}")
    raise RemoteRefusedError(
        "The server that runs this model does not take the store's requests. Please tell the"
        " staff.",
        detail=f"{status}: {words}",
    )


def _words(answer: httpx2.Response) -> str:
    try:
        found = answer.json()["error"]
        return str(found["message"] if isinstance(found, dict) else found)[:1000]
    except (ValueError, KeyError, TypeError):
        return f"The server that runs this model refused with status {answer.status_code}."


def _pieces(answer: httpx2.Response) -> Iterator[Any]:
    """Yield the JSON of each piece, up to ``[DONE]``."""
    for line in answer.iter_lines():
        if len(line) > MAX_LINE_CHARS:
            raise RemoteBrokeProtocolError("The server that runs this model sent too long a line.")
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            piece = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RemoteBrokeProtocolError(
                "The server that runs this model sent what is no JSON."
            ) from error
        if isinstance(piece, dict) and piece.get("error"):
            raise _away(str(piece["error"])[:500])
        yield piece


def _hang_up(answer: httpx2.Response) -> None:
    """Wake the thread that waits for the next piece: its connection is over."""
    stream = answer.extensions.get("network_stream")
    found = stream.get_extra_info("socket") if stream is not None else None
    if found is not None:
        with suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)


def _timeout() -> BoxTimeoutError:
    return BoxTimeoutError("The server that runs this model took too long.")


def _away(detail: str) -> RemoteAwayError:
    logger.warning("an engine is away: %s", detail[:500])  # not for strangers: it may have its name
    return RemoteAwayError(
        "The server that runs this model does not answer now. Try again in a minute."
    )
