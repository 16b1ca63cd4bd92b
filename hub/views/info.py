"""One model: what it is, at any revision (contract 5)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history.refs import resolve
from catalog.history.trees import list_entries
from catalog.models import FileScan, Listing, ModelCard, ModelRepo
from hub import shapes
from hub.answers import hub_view
from hub.expand import EXPAND_FIELDS, check_expand
from hub.params import flag, values
from hub.xet_offers import said_of_xet
from store.core.clock import iso

_ISSUES = {FileScan.Verdict.UNSAFE: "unsafe", FileScan.Verdict.ERROR: "error"}


@hub_view("GET", "HEAD")
def info(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str = "main"
) -> HttpResponseBase:
    """Describe a model at a revision."""
    repo = repo_for(viewer, ns, name)
    commit_oid = resolve(repo, rev).commit_oid
    model = ModelDescription(repo, commit_oid)
    expand = values(request, "expand")
    if expand:
        return JsonResponse(model.expanded(check_expand(expand)) | said_of_xet(expand))
    body = model.full(with_blobs=flag(request, "blobs"))
    if flag(request, "securityStatus"):
        body["securityRepoStatus"] = model.security()
    return JsonResponse(body)


class ModelDescription:
    """Everything the protocol can say of a model, each field computed when it is asked for."""

    def __init__(self, repo: ModelRepo, commit_oid: str) -> None:
        self.repo, self.commit_oid = repo, commit_oid
        self.listing = Listing.objects.get(repo=repo)
        self.card = ModelCard.objects.filter(repo=repo).first() or ModelCard(repo=repo)

    def full(self, *, with_blobs: bool) -> dict[str, Any]:
        """Return the answer of a plain info call."""
        entries = list_entries(self.repo, self.commit_oid, recursive=True)
        body = self._base() | {
            "author": self.repo.namespace.name,
            "sha": self.commit_oid,
            "lastModified": iso(self.repo.updated_at),
            "gated": shapes.gated(self.repo),
            "disabled": bool(self.repo.disabled_reason),
            "siblings": [
                shapes.sibling(entry, with_blobs=with_blobs) for entry in shapes.names(entries)
            ],
            "spaces": [],
            "usedStorage": self.listing.total_bytes,
        }
        for field in ("cardData", "config", "transformersInfo", "safetensors", "gguf"):
            body |= shapes.optional(**{field: self.value(field)})
        if self.card.model_index is not None:
            body["model-index"] = self.card.model_index
        return body | shapes.optional(widgetData=self.value("widgetData"))

    def expanded(self, fields: list[str]) -> dict[str, Any]:
        """Return only the named fields beside the ids."""
        body = {key: value for key, value in self._base().items() if key in _ALWAYS}
        for field in fields:
            value = self.value(field)
            if value is not None:
                body[field] = value
        return body

    def value(self, field: str) -> Any:
        """Return one ``expand`` field; ``None``: nothing to say."""
        found = getattr(self, f"_{EXPAND_FIELDS[field]}", None)
        return found() if found else self._simple().get(field)

    def security(self) -> dict[str, Any]:
        """Return what the scans found at this revision."""
        entries = list_entries(self.repo, self.commit_oid, recursive=True)
        oids = {entry.oid: entry.path for entry in shapes.names(entries)}
        scans = FileScan.objects.filter(repo=self.repo, blob_oid__in=oids)
        current = [scan for scan in scans if oids.get(scan.blob_oid) == scan.path]
        return {
            "scansDone": all(scan.verdict != FileScan.Verdict.PENDING for scan in current),
            "filesWithIssues": [
                {"path": scan.path, "level": _ISSUES[FileScan.Verdict(scan.verdict)]}
                for scan in current
                if scan.verdict in _ISSUES
            ],
        }

    def _base(self) -> dict[str, Any]:
        return shapes.list_item(self.repo, self.listing)

    def _simple(self) -> dict[str, Any]:
        repo, listing = self.repo, self.listing
        return {
            "author": repo.namespace.name,
            "baseModels": listing.base_models or None,
            "cardData": self.card.data or None,
            "createdAt": iso(repo.created_at),
            "disabled": bool(repo.disabled_reason),
            "downloads": listing.downloads,
            "downloadsAllTime": listing.downloads_all_time,
            "gated": shapes.gated(repo),
            "lastModified": iso(repo.updated_at),
            "library_name": listing.library or None,
            "likes": listing.likes,
            "model-index": self.card.model_index,
            "pipeline_tag": listing.pipeline_tag or None,
            "private": repo.is_private,
            "sha": self.commit_oid,
            "spaces": [],
            "tags": listing.tags,
            "trendingScore": listing.trending,
            "usedStorage": listing.total_bytes,
            "widgetData": self.card.data.get("widget"),
        }

    def _siblings(self) -> list[dict[str, Any]]:
        entries = list_entries(self.repo, self.commit_oid, recursive=True)
        return [shapes.sibling(entry, with_blobs=False) for entry in shapes.names(entries)]

    def _config(self) -> dict[str, Any] | None:
        return self.card.config or None

    def _safetensors(self) -> dict[str, Any] | None:
        by_dtype = self.card.facts.get("safetensors_parameters")
        return {"parameters": by_dtype, "total": sum(by_dtype.values())} if by_dtype else None

    def _gguf(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.card.facts.get("gguf")
        return found

    def _transformers_info(self) -> dict[str, Any] | None:
        if self.listing.library != "transformers" or not self.listing.architecture:
            return None
        auto = "AutoModelForCausalLM" if self.listing.is_runnable else "AutoModel"
        info = {"auto_model": auto, "processor": "AutoTokenizer"}
        return info | shapes.optional(pipeline_tag=self.listing.pipeline_tag)

    def _children(self) -> dict[str, int]:
        from django.db.models import Count

        rows = self.repo.derived_links.filter(repo__is_private=False)
        return dict(rows.values_list("relation").annotate(Count("id")))


_ALWAYS = ("_id", "id", "modelId")
