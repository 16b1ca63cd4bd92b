"""What a repository has, told before anything is asked for (gitprotocol-v2(5), -pack(5))."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS
from catalog.models import ModelRepo, Ref
from hub.git.pktline import FLUSH, line

MAIN = HEADS + DEFAULT_BRANCH
AGENT = "agent=gpt-store"
UPLOAD_PACK, RECEIVE_PACK = "git-upload-pack", "git-receive-pack"
FETCH_WORDS = (
    "multi_ack_detailed no-done side-band-64k thin-pack ofs-delta shallow deepen-since deepen-not"
    " deepen-relative no-progress include-tag allow-tip-sha1-in-want allow-reachable-sha1-in-want"
    f" filter symref=HEAD:{MAIN} object-format=sha1 {AGENT}"
)
PUSH_WORDS = (
    f"report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 {AGENT}"
)
V2_WORDS = ("version 2", AGENT, "ls-refs=unborn", "fetch=shallow filter", "object-format=sha1")
MAX_PREFIXES = 1000
_NO_REFS = "0" * 40 + " capabilities^{}"


def refs_for(
    repo: ModelRepo, service: str, version: int, within: AbstractSet[bytes] | None = None
) -> Iterator[bytes]:
    """Yield the answer to ``info/refs``: capabilities of version 2, or the refs of older ones.

    Args:
        repo: What is asked about.
        service: ``UPLOAD_PACK`` or ``RECEIVE_PACK``.
        version: Of the protocol, 0 to 2.
        within: Commits that may be told of; ``None``: all.
    """
    yield line(f"# service={service}")
    yield FLUSH
    if version == 2 and service == UPLOAD_PACK:
        yield from map(line, V2_WORDS)
        yield FLUSH
        return
    if version == 1:
        yield line("version 1")
    words = FETCH_WORDS if service == UPLOAD_PACK else PUSH_WORDS
    first, *others = _all_refs(repo, within, with_head=service == UPLOAD_PACK) or [_NO_REFS]
    yield line(f"{first}\0{words}")
    yield from map(line, others)
    yield FLUSH


def refs_within(repo: ModelRepo, within: AbstractSet[bytes] | None) -> list[Ref]:
    """Return the refs of a repository that name commits of ``within``, by name."""
    refs = Ref.objects.filter(repo=repo).order_by("name")
    return [ref for ref in refs if within is None or bytes.fromhex(ref.commit_oid) in within]


def _all_refs(repo: ModelRepo, within: AbstractSet[bytes] | None, *, with_head: bool) -> list[str]:
    lines: list[str] = []
    for ref in refs_within(repo, within):
        if with_head and ref.name == MAIN:
            lines.insert(0, f"{ref.oid} HEAD")
        lines.append(f"{ref.oid} {ref.name}")
        if with_head and ref.name.startswith(TAGS) and ref.oid != ref.commit_oid:
            lines.append(f"{ref.commit_oid} {ref.name}^{{}}")
    return lines


def list_refs(
    repo: ModelRepo, arguments: Iterable[bytes], within: AbstractSet[bytes] | None = None
) -> Iterator[bytes]:
    """Yield the answer to version 2's ``ls-refs``; of ``within``, see ``refs_for``."""
    words = [argument.decode("utf-8", "replace") for argument in arguments]
    prefixes = tuple(word[11:] for word in words if word.startswith("ref-prefix "))
    if len(prefixes) > MAX_PREFIXES:
        prefixes = ()  # they only narrow the list
    refs = refs_within(repo, within)
    for ref in refs:
        if ref.name == MAIN and "HEAD".startswith(prefixes or ""):
            yield line(f"{ref.oid} HEAD" + (f" symref-target:{MAIN}" if "symrefs" in words else ""))
    for ref in refs:
        if ref.name.startswith(prefixes or ""):
            is_peeled = "peel" in words and ref.oid != ref.commit_oid
            yield line(f"{ref.oid} {ref.name}" + (f" peeled:{ref.commit_oid}" * is_peeled))
    yield FLUSH
