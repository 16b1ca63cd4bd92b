"""Fetching: what the client says, what the server answers, in both generations of the protocol.

Every request stands alone (stateless HTTP): the client repeats what was agreed before.
"""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import IO

from catalog.history.graph import Graph, Oid, load_graph
from catalog.history.objects import MissingObjectError
from catalog.history.packing import BlobCheck, contents, pack, read_filter
from catalog.history.selecting import (
    INFINITE_DEPTH,
    Request,
    Selection,
    UnknownObjectError,
    is_enough,
    select,
)
from catalog.models import ModelRepo
from hub.git.advertising import list_refs, refs_within
from hub.git.pktline import (
    DELIM,
    FATAL_BAND,
    FLUSH,
    PACK_BAND,
    BadLineError,
    Mark,
    line,
    on_band,
    read_line,
    read_section,
    remark,
)
from store.core.errors import InvalidError

_OID = re.compile(rb"[0-9a-f]{40}")
_NUMBER = re.compile(rb"\d{1,18}")


@dataclass(slots=True)
class Talk:
    """One request to fetch."""

    request: Request = field(default_factory=Request)
    words: frozenset[str] = frozenset()
    """Capabilities the client chose (before version 2)."""
    is_done: bool = False
    """The client has told all it has."""
    is_over: bool = False
    """Only the shape of history was asked for; the client comes again with what it has."""
    is_quiet: bool = False

    def hear(self, said: bytes) -> bool:
        """Take in one line. ``False``: it is none that belongs to a fetch."""
        word, _, rest = said.partition(b" ")
        request = self.request
        if word in {b"want", b"have", b"shallow"}:
            getattr(self, f"_{word.decode()}")(_oid(rest))
        elif word == b"deepen":
            request.depth = min(_number(rest), INFINITE_DEPTH)
        elif word == b"deepen-since":
            request.since = _number(rest)
        elif word == b"deepen-not":
            request.without.append(rest.decode("utf-8", "replace"))
        elif word == b"filter":
            request.leave_out = read_filter(rest.decode("utf-8", "replace"))
        elif word == b"deepen-relative":
            request.is_relative = True
        elif word == b"include-tag":
            request.with_tags = True
        elif word == b"done":
            self.is_done = True
        elif word == b"no-progress":
            self.is_quiet = True
        else:
            return word in {b"thin-pack", b"ofs-delta"}
        return True

    def _want(self, oid: Oid) -> None:
        self.request.wants.append(oid)

    def _have(self, oid: Oid) -> None:
        self.request.haves.append(oid)

    def _shallow(self, oid: Oid) -> None:
        self.request.shallow.add(oid)


def answer_v2(
    repo: ModelRepo,
    body: IO[bytes],
    check: BlobCheck | None,
    within: AbstractSet[Oid] | None = None,
) -> Iterable[bytes]:
    """Return the answer to a command of version 2.

    Args:
        repo: What is fetched from.
        body: What the client said.
        check: Decides about the files of a pack.
        within: Commits that may be sent, each with all that are before it; ``None``: everything
            that is here. With it nothing but commits and tags can be wanted.

    Raises:
        InvalidError: the command is unknown or malformed.
        UnknownObjectError, FileBlockedError: what is wanted is not here, or not for everybody.
    """
    head, end = read_section(body)
    command = next((said[8:] for said in head if said.startswith(b"command=")), b"")
    arguments: list[bytes] = []
    if end is Mark.DELIM:
        arguments, end = read_section(body)
    if end is not Mark.FLUSH:
        raise BadLineError("A request ends with a flush.")
    if command == b"ls-refs":
        return list(list_refs(repo, arguments, within))
    if command != b"fetch":
        raise InvalidError(f"There is no command '{command[:40].decode('ascii', 'replace')}'.")
    talk = Talk()
    for said in arguments:
        if not talk.hear(said):
            raise InvalidError(f"'{said[:60].decode('ascii', 'replace')}' is not understood.")
    _keep_within(repo, talk.request, within)
    return _fetch_v2(repo, talk, check)


def _keep_within(repo: ModelRepo, request: Request, within: AbstractSet[Oid] | None) -> None:
    """Refuse what is wanted beyond ``within`` as what is not here, and forget what is told of it.

    Raises:
        UnknownObjectError: something wanted is not for them.
    """
    if within is None:
        return
    named = {bytes.fromhex(ref.oid) for ref in refs_within(repo, within)}
    for oid in request.wants:
        if oid not in within and oid not in named:
            raise UnknownObjectError(f"not our ref {oid.hex()}", oid=oid.hex())
    request.haves = [oid for oid in request.haves if oid in within]
    request.shallow &= within


def _fetch_v2(repo: ModelRepo, talk: Talk, check: BlobCheck | None) -> Iterable[bytes]:
    graph, request = load_graph(repo.pk), talk.request
    told: list[bytes] = []
    if not talk.is_done:
        common = [oid for oid in request.haves if oid in graph]
        told.append(line("acknowledgments"))
        told += [line(f"ACK {oid.hex()}") for oid in common] or [line("NAK")]
        if not is_enough(graph, request, common):
            return [*told, FLUSH]
        told += [line("ready"), DELIM]
    selection = select(repo, graph, request)
    if request.is_deepening:
        told += [line("shallow-info"), *_shallow_lines(selection), DELIM]
    told.append(line("packfile"))
    oids = contents(repo.pk, graph, selection.wish, leave_out=request.leave_out, check=check)
    return _chained(told, _banded(repo, talk, oids))


def answer_v0(
    repo: ModelRepo,
    body: IO[bytes],
    check: BlobCheck | None,
    within: AbstractSet[Oid] | None = None,
) -> Iterable[bytes]:
    """Return the answer to a request of versions 0 and 1. Takes what ``answer_v2`` takes.

    Raises:
        What ``answer_v2`` raises.
    """
    talk = _heard_v0(body)
    if not talk.request.wants:
        return []
    _keep_within(repo, talk.request, within)
    graph, request = load_graph(repo.pk), talk.request
    told: list[bytes] = []
    selection = None
    if request.is_deepening:
        selection = select(repo, graph, request)
        told += [*_shallow_lines(selection), FLUSH]
    if talk.is_over:
        return told
    said, is_agreed = _acknowledged(graph, talk)
    told += said
    if not is_agreed:
        return told
    selection = selection or select(repo, graph, request)
    oids = contents(repo.pk, graph, selection.wish, leave_out=request.leave_out, check=check)
    if "side-band-64k" in talk.words:
        return _chained(told, _banded(repo, talk, oids))
    return _chained(told, pack(repo.pk, oids))


def _heard_v0(body: IO[bytes]) -> Talk:
    talk = Talk()
    while not isinstance(said := read_line(body), Mark):
        if said.startswith(b"want ") and not talk.request.wants:
            said, talk.words = said[:45], frozenset(said[45:].decode("ascii", "replace").split())
        _hear_v0(talk, said)
    end = read_line(body)
    talk.is_over = end is Mark.END
    while not isinstance(end, Mark):
        _hear_v0(talk, end)
        end = read_line(body)
    talk.is_quiet = "no-progress" in talk.words
    request = talk.request
    request.is_relative = "deepen-relative" in talk.words
    request.with_tags = "include-tag" in talk.words
    return talk


def _hear_v0(talk: Talk, said: bytes) -> None:
    if not talk.hear(said):
        raise InvalidError(f"'{said[:60].decode('ascii', 'replace')}' is not understood.")


def _acknowledged(graph: Graph, talk: Talk) -> tuple[list[bytes], bool]:
    """Return (what to say about what they have, whether the pack follows)."""
    common = [oid for oid in talk.request.haves if oid in graph]
    is_detailed = "multi_ack_detailed" in talk.words
    said = [line(f"ACK {oid.hex()} common") for oid in common] if is_detailed else []
    if talk.is_done:
        return [*said, line(f"ACK {common[-1].hex()}" if common else "NAK")], True
    is_ready = is_detailed and is_enough(graph, talk.request, common)
    if is_ready:
        said.append(line(f"ACK {common[-1].hex()} ready"))
    if not is_detailed and common:
        return [line(f"ACK {common[0].hex()}")], False
    said.append(line("NAK"))
    if is_ready and "no-done" in talk.words:
        return [*said, line(f"ACK {common[-1].hex()}")], True
    return said, False


def _shallow_lines(selection: Selection) -> list[bytes]:
    return [
        *(line(f"shallow {oid.hex()}") for oid in selection.shallow),
        *(line(f"unshallow {oid.hex()}") for oid in selection.unshallow),
    ]


def _banded(repo: ModelRepo, talk: Talk, oids: list[Oid]) -> Iterator[bytes]:
    """Yield a pack on the side band, with a word to the person who waits."""
    if not talk.is_quiet:
        yield remark(f"Sending {len(oids)} objects.")
    try:
        yield from on_band(PACK_BAND, pack(repo.pk, oids))
    except MissingObjectError:
        yield remark("The repository was deleted meanwhile.", band=FATAL_BAND)
        return
    yield FLUSH


def _chained(told: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield b"".join(told)
    yield from rest


def _oid(text: bytes) -> Oid:
    if not _OID.fullmatch(text):
        raise InvalidError("An object id is 40 hexadecimal characters.")
    return bytes.fromhex(text.decode())


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidError("This is not a number.")
    return int(text)
