"""Git over HTTP (gitprotocol-http(5)): clone, fetch, pull and push of a repository."""

import io
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import wraps
from typing import IO, Any

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.views.decorators.csrf import csrf_exempt

from accounts.basic import CHALLENGE
from accounts.services.limits import count_commit
from accounts.viewer import VISITOR, Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, canonical_alias, repo_for
from catalog.models import ModelRepo
from hub.answers import moved_answer
from hub.git.advertising import RECEIVE_PACK, UPLOAD_PACK, refs_for
from hub.git.fetching import answer_v0, answer_v2
from hub.git.pktline import FLUSH, line
from hub.git.pushing import carry_out, noticing_a_full_disk, read_order
from licensing.delivery.packs import pack_check
from licensing.delivery.policy import FileBlockedError, check_whole
from store.core.bodies import BrokenBodyError, body_chunks
from store.core.database import hand_back_connection
from store.core.errors import (
    InvalidError,
    RateLimitedError,
    StoreError,
    TooLargeError,
    UnauthenticatedError,
)

MAX_FETCH_BYTES = 16 * 1024**2
"""What a client may say in one fetch: about 300,000 ids."""

View = Callable[..., HttpResponseBase]
_NEVER_CACHED = "no-cache, max-age=0, must-revalidate"
_INFLATE_BYTES = 256 * 1024


def git_view(*methods: str) -> Callable[[View], View]:
    """Make a function a view for git: it gets ``(request, viewer, ns, name)``.

    Whoever sends no credentials is nobody here: a browser's cookie does not count. What is
    raised becomes a text that git prints.
    """

    def decorate(function: View) -> View:
        @csrf_exempt  # no cookie counts
        @wraps(function)
        def view(request: HttpRequest, **path: Any) -> HttpResponseBase:
            if request.method not in methods:
                return _text("This method is not allowed here.", 405, Allow=", ".join(methods))
            proven: Viewer = request.viewer  # type: ignore[attr-defined]
            viewer = proven if "Authorization" in request.headers else VISITOR
            try:
                answer = function(request, viewer, **path)
            except RepoMovedError as error:
                return moved_answer(request, error)
            except StoreError as error:
                return _refusal(viewer, error)
            answer["Cache-Control"] = _NEVER_CACHED
            return answer

        view.hub_methods = methods  # type: ignore[attr-defined]  # docs/hub-protocol.md lists them
        return view

    return decorate


@git_view("GET")
def info_refs(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Say what can be fetched, or what a push will move."""
    service = request.GET.get("service", "")
    if service not in {UPLOAD_PACK, RECEIVE_PACK}:
        raise InvalidError("This store speaks git's smart protocol only. Use a newer git.")
    repo, within = _opened(viewer, ns, name, service)
    pieces = list(refs_for(repo, service, _version(request), within))
    return _answer(pieces, f"application/x-{service}-advertisement")


@git_view("POST")
def upload_pack(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Send what a fetch asks for."""
    repo, within = _opened(viewer, ns, name, UPLOAD_PACK)
    body = io.BytesIO(b"".join(_inflated(request, max_bytes=MAX_FETCH_BYTES)))
    answer = answer_v2 if _version(request) == 2 else answer_v0
    pieces: Iterable[bytes]
    try:
        pieces = answer(repo, body, pack_check(viewer, repo), within)
    except FileBlockedError as error:
        if viewer.is_visitor:  # perhaps an owner: git tells who asks only when it is asked
            raise
        pieces = [line(f"ERR {error.message}")]
    except StoreError as error:
        pieces = [line(f"ERR {error.message}")]
    return _answer(pieces, f"application/x-{UPLOAD_PACK}-result")


@git_view("POST")
def receive_pack(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Take in a push."""
    repo, _all = _opened(viewer, ns, name, RECEIVE_PACK)
    hand_back_connection()  # slow clients hold none
    with _spooled(request) as body:
        if body.read(4) in {b"", FLUSH}:  # a probe: may I send something large?
            return _answer([], f"application/x-{RECEIVE_PACK}-result")
        body.seek(0)
        order = read_order(body)
        count_commit(viewer.identified().pk)
        pieces = list(carry_out(viewer, repo, order, body))
    return _answer(pieces, f"application/x-{RECEIVE_PACK}-result")


@csrf_exempt
def by_alias(request: HttpRequest, alias: str) -> HttpResponse:
    """Send git to the full id of a single-segment one; the rest of the talk follows there."""
    proven = "Authorization" in request.headers
    viewer: Viewer = request.viewer if proven else VISITOR  # type: ignore[attr-defined]
    target = canonical_alias(viewer, alias)
    if target is None:
        return _refusal(
            viewer,
            RepoNotFoundError(f"Repository Not Found: there is no model {alias}."),
        )
    answer = HttpResponse(status=307)
    answer["Location"] = request.get_full_path().replace(f"/{alias}", f"/{target}", 1)
    return answer


def page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Send a browser that was given a clone address to the page."""
    return HttpResponseRedirect(f"/{ns}/{name}")


def _opened(
    viewer: Viewer, ns: str, name: str, service: str
) -> tuple[ModelRepo, AbstractSet[bytes] | None]:
    """Return the repository if the service may be used on it, and the commits (``None``: all)."""
    if service == UPLOAD_PACK:
        repo = repo_for(viewer, ns, name)
        return repo, check_whole(viewer, repo)
    viewer.identified()  # before anything is looked up: absent and public ask alike
    return repo_for(viewer, ns, name, to="write"), None


def _version(request: HttpRequest) -> int:
    """Return the protocol's version the client would like."""
    wished = request.headers.get("Git-Protocol", "").split(":")
    return 2 if "version=2" in wished else 1 if "version=1" in wished else 0


def _spooled(request: HttpRequest) -> IO[bytes]:
    """Return the whole body in a temporary file: a slow client holds no transaction open."""
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    spool = tempfile.TemporaryFile(dir=settings.SPOOL_DIR)  # noqa: SIM115 - returned open
    try:
        with noticing_a_full_disk():
            for piece in _inflated(request, max_bytes=settings.ENV.max_commit_bytes):
                spool.write(piece)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def _inflated(request: HttpRequest, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the body, unpacked if git packed it, never more than ``max_bytes``."""
    chunks = body_chunks(request, max_bytes=max_bytes)
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding == "identity":
        yield from chunks
        return
    if coding not in {"gzip", "x-gzip"}:
        raise InvalidError(f"Bodies packed as '{coding[:20]}' are not understood.")
    stream, total = zlib.decompressobj(wbits=31), 0
    for chunk in chunks:
        rest = chunk
        if stream.eof:
            raise BrokenBodyError("There is something behind the body's end.")
        while rest and not stream.eof:
            try:
                piece = stream.decompress(rest, _INFLATE_BYTES)
            except zlib.error as exc:
                raise BrokenBodyError("The body cannot be unpacked.") from exc
            rest = stream.unconsumed_tail
            total += len(piece)
            if total > max_bytes:
                raise TooLargeError(f"The body is larger than {max_bytes} bytes.")
            yield piece
    if not stream.eof or stream.unused_data:
        raise BrokenBodyError("The body cannot be unpacked.")


def _answer(pieces: Iterable[bytes], content_type: str) -> HttpResponseBase:
    if isinstance(pieces, list):
        return HttpResponse(b"".join(pieces), content_type=content_type)
    return StreamingHttpResponse(pieces, content_type=content_type)


def _refusal(viewer: Viewer, error: StoreError) -> HttpResponse:
    """Answer so that git asks for credentials where they may help, and prints the reason."""
    status = error.status
    is_hidden = isinstance(error, RepoNotFoundError)
    if viewer.is_visitor and (is_hidden or status == 403):
        status = 401
    answer = _text(error.message, status)
    if status == 401 or isinstance(error, UnauthenticatedError):
        answer["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, RateLimitedError):
        answer["Retry-After"] = str(error.retry_after_s)
    return answer


def _text(message: str, status: int, **headers: str) -> HttpResponse:
    """Return what git shows: it prints plain text and nothing else."""
    answer = HttpResponse(f"{message}\n", status=status, content_type="text/plain; charset=utf-8")
    answer["Cache-Control"] = "no-store"
    for key, value in headers.items():
        answer[key] = value
    return answer
