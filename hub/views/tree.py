"""Reading the git data: trees, paths, refs, commits (contract 6)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history import log
from catalog.history.refs import CONVERTS, HEADS, PULLS, TAGS, resolve
from catalog.history.trees import Entry, find_entries, find_entry, list_entries, list_page
from catalog.models import FileScan, ModelRepo, Ref
from hub import shapes
from hub.answers import hub_view, page_link
from hub.params import flag, number, words
from hub.xet_offers import offered_hashes
from store.core.bodies import body_chunks, read_json
from store.core.errors import InvalidError, TooLargeError
from store.core.paging import BadCursorError, decode_cursor, encode_cursor

TREE_PAGE = 1000
EXPANDED_PAGE = 100
COMMITS_PAGE = 50
MAX_PATHS = 2000
MAX_PATHS_BYTES = 8 * 1024 * 1024


@hub_view("GET")
def tree(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str, path: str = ""
) -> HttpResponseBase:
    """List a folder, or everything below it (contract 6.1)."""
    repo = repo_for(viewer, ns, name)
    commit_oid, start = _tree_place(request, repo, rev)
    expand = flag(request, "expand")
    most = EXPANDED_PAGE if expand else TREE_PAGE
    limit = min(number(request, "limit", most, least=1), most)
    page, total = list_page(
        repo,
        commit_oid,
        path.strip("/"),
        show="everything" if flag(request, "recursive") else "folder",
        start=start,
        limit=limit,
    )
    answer = JsonResponse(_lines(repo, commit_oid, page, expand=expand), safe=False)
    if start + limit < total:
        answer["Link"] = page_link(request, cursor=encode_cursor([start + limit, commit_oid]))
    return answer


def _tree_place(request: HttpRequest, repo: ModelRepo, rev: str) -> tuple[str, int]:
    """Return (commit, number of the first line): pages after the first stay at its commit."""
    cursor = request.GET.get("cursor")
    if not cursor:
        return resolve(repo, rev).commit_oid, 0
    start, commit_oid = decode_cursor(cursor, length=2)
    if type(start) is not int or not 0 <= start < 2**31 or not isinstance(commit_oid, str):
        raise BadCursorError("This cursor is not ours. Start again without one.")
    return resolve(repo, commit_oid).commit_oid, start


def _lines(
    repo: ModelRepo, commit_oid: str, entries: list[Entry], *, expand: bool
) -> list[dict[str, Any]]:
    xet = offered_hashes(repo, entries)
    if not expand:
        return [shapes.tree_entry(entry, xet_hash=xet.get(entry.path)) for entry in entries]
    last = log.last_commits(repo, commit_oid, [entry.path for entry in entries])
    scans = {
        (scan.blob_oid, scan.path): scan
        for scan in FileScan.objects.filter(
            repo=repo, blob_oid__in={entry.oid for entry in entries if not entry.is_folder}
        )
    }
    return [
        shapes.tree_entry(
            entry,
            last.get(entry.path),
            scan=shapes.file_status(scans.get((entry.oid, entry.path))),
            xet_hash=xet.get(entry.path),
        )
        for entry in entries
    ]


@hub_view("POST")
def paths_info(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str
) -> HttpResponseBase:
    """Describe the paths that exist among those asked for (contract 6.2)."""
    repo = repo_for(viewer, ns, name)
    commit_oid = resolve(repo, rev).commit_oid
    paths, expand = _asked_paths(request)
    found = list(find_entries(repo, commit_oid, paths).values())
    return JsonResponse(_lines(repo, commit_oid, found, expand=expand), safe=False)


@hub_view("GET")
def tree_size(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str, path: str = ""
) -> HttpResponseBase:
    """Say how large a folder or file is (contract 6.5)."""
    repo = repo_for(viewer, ns, name)
    commit_oid = resolve(repo, rev).commit_oid
    path = path.strip("/")
    entry = find_entry(repo, commit_oid, path) if path else None
    if entry is not None and not entry.is_folder:
        return JsonResponse({"path": path, "size": entry.size_bytes})
    entries = list_entries(repo, commit_oid, path, recursive=True)
    return JsonResponse({"path": path, "size": sum(entry.size_bytes for entry in entries)})


def _asked_paths(request: HttpRequest) -> tuple[list[str], bool]:
    """Return (paths, expand) from a form (Python) or JSON (JavaScript) body."""
    if request.content_type == "application/json":
        body: dict[str, Any] = read_json(request, max_bytes=MAX_PATHS_BYTES)
        asked = body.get("paths", [])
        paths = [asked] if isinstance(asked, str) else asked
        expand = str(body.get("expand", "")).lower() in {"true", "1"}
    else:
        from django.http import QueryDict

        raw = b"".join(body_chunks(request, max_bytes=MAX_PATHS_BYTES))
        form = QueryDict(raw, encoding="utf-8")
        paths = form.getlist("paths") + form.getlist("paths[]")
        expand = form.get("expand", "").lower() in {"true", "1"}
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InvalidError("'paths' is a list of strings.")
    if len(paths) > MAX_PATHS:
        raise TooLargeError(f"Ask for at most {MAX_PATHS} paths at a time.", max_paths=MAX_PATHS)
    return paths, expand


@hub_view("GET")
def refs(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """List branches, tags and, when asked, pull request refs (contract 6.3)."""
    repo = repo_for(viewer, ns, name)
    rows = list(Ref.objects.filter(repo=repo).order_by("name"))
    body = {
        "branches": _refs(rows, HEADS),
        "converts": _refs(rows, CONVERTS),
        "tags": _refs(rows, TAGS),
    }
    if flag(request, "include_prs"):
        body["pullRequests"] = _refs(rows, PULLS)
    return JsonResponse(body)


def _refs(rows: list[Ref], prefix: str) -> list[dict[str, str]]:
    return [
        {"name": row.name.removeprefix(prefix), "ref": row.name, "targetCommit": row.commit_oid}
        for row in rows
        if row.name.startswith(prefix)
    ]


@hub_view("GET")
def commits(request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str) -> HttpResponseBase:
    """List the history of one revision, newest first (contract 6.4)."""
    repo = repo_for(viewer, ns, name)
    head = resolve(repo, rev).commit_oid
    limit = min(number(request, "limit", COMMITS_PAGE, least=1), 1000)
    page = number(request, "p", 0)
    total = log.count(repo, head)
    rows = log.history(repo, head, limit=limit, skip=page * limit)
    formatted = "formatted" in words(request, "expand")
    answer = JsonResponse(
        [shapes.commit_item(row, formatted=formatted) for row in rows], safe=False
    )
    answer["X-Total-Count"] = str(total)
    if (page + 1) * limit < total:  # of the commit seen now: later ones would shift the pages
        path = f"/api/models/{repo.full_name}/commits/{head}"
        answer["Link"] = page_link(request, path, p=page + 1)
    return answer
