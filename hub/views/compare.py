"""What the hub's pages ask for beside trees: differences, findings, weight headers (6.5)."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.formats.errors import FormatError
from catalog.history.changes import Change, changes_between
from catalog.history.diffs import FileDiff, unified_text
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import Listing
from catalog.services.changes import lines_of
from catalog.services.weight_headers import read_headers, read_index, shard_paths
from hub.answers import hub_view
from hub.describe import ModelDescription
from hub.params import flag
from licensing.delivery.policy import authorize, check_reached
from store.core.errors import InvalidError, UnprocessableError

MAX_DIFFS = 300
"""Files shown line by line; further ones are named."""
MAX_NAMED = 10_000
_INDEX_ENDING, _WEIGHTS_ENDING = ".index.json", ".safetensors"


@hub_view("GET")
def compare(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, spec: str
) -> HttpResponseBase:
    """Tell what lies between two revisions, ``a..b``: as JSON, or with ``raw`` as git prints it.

    Whoever may not have the contents reads in the JSON which files differ, without their lines.
    """
    repo = repo_for(viewer, ns, name)
    is_raw = flag(request, "raw")
    old_name, dots, new_name = spec.partition("..")
    if not dots or not old_name or not new_name or new_name.startswith("."):
        raise InvalidError("Compare two revisions: 'old..new'.")
    if is_raw:
        old, new = (check_reached(viewer, repo, each) for each in (old_name, new_name))
    else:
        old, new = (resolve(repo, each).commit_oid for each in (old_name, new_name))
    changes = changes_between(repo, old, new)
    diffs = lines_of(viewer, repo, changes[:MAX_DIFFS], old=(old_name, old), new=(new_name, new))
    diffs += [FileDiff(change, note="left out") for change in changes[MAX_DIFFS:MAX_NAMED]]
    if is_raw:
        answer: HttpResponse = HttpResponse(
            unified_text(diffs), content_type="text/plain; charset=utf-8"
        )
        answer["X-Content-Type-Options"] = "nosniff"
        return answer
    return JsonResponse(
        {"base": old, "head": new, "total": len(changes), "files": [_file(diff) for diff in diffs]}
    )


def _file(diff: FileDiff) -> dict[str, Any]:
    change: Change = diff.change
    return {
        "path": change.path,
        "status": change.kind,
        "oldOid": change.old.oid if change.old else None,
        "newOid": change.new.oid if change.new else None,
        "diff": "" if diff.note else unified_text([diff]),
    }


@hub_view("GET")
def scan(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Tell what the scans of the default branch found."""
    repo = repo_for(viewer, ns, name)
    commit_oid = resolve(repo, DEFAULT_BRANCH).commit_oid
    model = ModelDescription(repo, Listing.objects.get(repo=repo), commit_oid)
    return JsonResponse(model.security())


@hub_view("GET")
def safetensors_metadata(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, path: str
) -> HttpResponseBase:
    """Return the header of every shard an index file names, or of one file."""
    repo = repo_for(viewer, ns, name)
    given = authorize(viewer, repo, DEFAULT_BRANCH, path)
    if not path.endswith((_INDEX_ENDING, _WEIGHTS_ENDING)):
        raise InvalidError(f"Name an index ('*{_INDEX_ENDING}') or a '*{_WEIGHTS_ENDING}' file.")
    try:
        index: dict[str, Any] = {}
        entries = {path.rpartition("/")[2]: given.entry}
        if path.endswith(_INDEX_ENDING):
            index, shards = read_index(repo, given.entry)
            entries = {
                shard: authorize(viewer, repo, given.commit_oid, full).entry
                for shard, full in shard_paths(path, shards)
            }
        headers = read_headers(repo, entries)
    except FormatError as error:
        raise UnprocessableError(f"{path}: {error}", path=path) from error
    answer = JsonResponse({"headers": headers, "index": index})
    answer["X-Repo-Commit"] = given.commit_oid
    return answer
