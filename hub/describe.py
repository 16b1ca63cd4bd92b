"""Everything the protocol can say of a model, each field found when it is asked for."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from catalog.content.quotas import stored_bytes
from catalog.formats.architectures import CAUSAL_LM
from catalog.history.trees import Entry, list_entries
from catalog.models import FileScan, Listing, ModelCard, ModelRepo
from catalog.services.eval_results import read_results
from catalog.services.snapshots import Snapshot, read_snapshot, stored_snapshot
from hub import shapes
from store.core.clock import iso

_LEVELS = {FileScan.Verdict.UNSAFE: "unsafe", FileScan.Verdict.ERROR: "unsafe"}
_CAUSAL_LM = frozenset(CAUSAL_LM.values())
_IDS = ("_id", "id", "modelId")


class ModelDescription:
    """One model at one revision.

    Args:
        repo: With ``namespace`` loaded.
        listing: Of the repository.
        commit_oid: The revision.
        card: The stored card, when the caller has it; read when it is needed otherwise.
    """

    def __init__(
        self, repo: ModelRepo, listing: Listing, commit_oid: str, card: ModelCard | None = None
    ) -> None:
        self.repo, self.listing, self.commit_oid = repo, listing, commit_oid
        self._given_card = card

    def full(self, *, with_blobs: bool, with_security: bool) -> dict[str, Any]:
        """Return the answer of a plain info call."""
        body = shapes.list_item(self.repo, self.listing)
        body |= {"tags": self.snapshot.tags}
        for name in _FULL:
            value = FIELDS[name](self)
            if value not in (None, "", {}):
                body[name] = value
        body["siblings"] = [shapes.sibling(entry, with_blobs=with_blobs) for entry in self.files]
        if with_security:
            body["securityRepoStatus"] = self.security()
        return body

    def expanded(self, fields: list[str]) -> dict[str, Any]:
        """Return only the named fields beside the ids."""
        item = shapes.list_item(self.repo, self.listing)
        body = {key: item[key] for key in _IDS}
        for field in fields:
            value = FIELDS[field](self)
            if value is not None:
                body[field] = value
        return body

    def security(self) -> dict[str, Any]:
        """Return what the scans found at this revision."""
        oids = {(entry.oid, entry.path) for entry in self.files}
        scans = FileScan.objects.filter(
            repo=self.repo, blob_oid__in={oid for oid, _path in oids}
        ).defer("report")
        current = [scan for scan in scans if (scan.blob_oid, scan.path) in oids]
        judged = [scan for scan in current if scan.verdict != FileScan.Verdict.PENDING]
        return {
            "scansDone": len(judged) == len(oids),
            "filesWithIssues": [
                {"path": scan.path, "level": _LEVELS[FileScan.Verdict(scan.verdict)]}
                for scan in judged
                if scan.verdict in _LEVELS
            ],
        }

    @cached_property
    def files(self) -> list[Entry]:
        """The files of the revision."""
        return shapes.names(list_entries(self.repo, self.commit_oid, recursive=True))

    @cached_property
    def snapshot(self) -> Snapshot:
        """What the revision says of itself."""
        if self.commit_oid != self.listing.head_oid:
            files = [entry for entry in self.files if not entry.is_link]
            return read_snapshot(self.repo, self.commit_oid, entries=files)
        card = self._given_card or ModelCard.objects.filter(repo=self.repo).first()
        return stored_snapshot(self.listing, card)

    def safetensors(self) -> dict[str, Any] | None:
        """Parameters by dtype."""
        by_dtype = self.snapshot.facts.get("safetensors_parameters")
        return {"parameters": by_dtype, "total": sum(by_dtype.values())} if by_dtype else None

    def transformers_info(self) -> dict[str, Any] | None:
        """Which classes of transformers load it."""
        snapshot = self.snapshot
        architecture = snapshot.facts.get("architecture")
        if snapshot.library != "transformers" or not architecture:
            return None
        is_causal = architecture in _CAUSAL_LM
        info = {"auto_model": "AutoModelForCausalLM" if is_causal else "AutoModel"}
        if snapshot.pipeline_tag:
            info["pipeline_tag"] = snapshot.pipeline_tag
        if snapshot.facts.get("has_tokenizer"):
            info["processor"] = "AutoTokenizer"
        return info

    def children(self) -> int:
        """How many public models say they were made from it."""
        links = self.repo.derived_links.filter(repo__is_private=False)
        return links.values("repo").distinct().count()

    def used_storage(self) -> int:
        """All bytes the repository takes, of all revisions."""
        return stored_bytes(self.repo)

    def widget(self) -> list[dict[str, Any]] | None:
        """The card's examples; a plain text stands for its own."""
        given = self.snapshot.card.get("widget")
        if not isinstance(given, list):
            return None
        items = [{"text": item} if isinstance(item, str) else item for item in given]
        return [item for item in items if isinstance(item, dict)] or None


Finder = Callable[[ModelDescription], Any]

FIELDS: dict[str, Finder] = {
    "author": lambda model: model.repo.namespace.name,
    "baseModels": lambda model: model.snapshot.base_models or None,
    "cardData": lambda model: model.snapshot.card or None,
    "childrenModelCount": ModelDescription.children,
    "config": lambda model: model.snapshot.config or None,
    "createdAt": lambda model: iso(model.repo.created_at),
    "disabled": lambda model: bool(model.repo.disabled_reason),
    "downloads": lambda model: model.listing.downloads,
    "downloadsAllTime": lambda model: model.listing.downloads_all_time,
    "evalResults": lambda model: read_results(model.repo, model.commit_oid) or None,
    "gated": lambda model: shapes.gated(model.repo),
    "gguf": lambda model: model.snapshot.facts.get("gguf"),
    "inference": lambda _model: None,  # "warm" would promise a provider of the hub
    "inferenceProviderMapping": lambda _model: [],
    "lastModified": lambda model: iso(model.repo.updated_at),
    "library_name": lambda model: model.snapshot.library or None,
    "likes": lambda model: model.listing.likes,
    "mask_token": lambda _model: None,  # models that write have none
    "model-index": lambda model: model.snapshot.model_index,
    "pipeline_tag": lambda model: model.snapshot.pipeline_tag or None,
    "private": lambda model: model.repo.is_private,
    "resourceGroup": lambda _model: None,
    "safetensors": ModelDescription.safetensors,
    "sha": lambda model: model.commit_oid,
    "siblings": lambda model: [shapes.sibling(entry, with_blobs=False) for entry in model.files],
    "spaces": lambda _model: [],
    "tags": lambda model: model.snapshot.tags,
    "transformersInfo": ModelDescription.transformers_info,
    "trendingScore": lambda model: shapes.trending(model.listing),
    "usedStorage": ModelDescription.used_storage,
    "widgetData": ModelDescription.widget,
}
"""What ``expand`` can name (contract 4); a client test compares the set."""

COSTLY = frozenset({"siblings", "evalResults", "childrenModelCount", "usedStorage"})
"""Fields that take queries of their own for each model."""

_FULL = (
    "author",
    "sha",
    "lastModified",
    "gated",
    "disabled",
    "pipeline_tag",
    "library_name",
    "cardData",
    "config",
    "transformersInfo",
    "safetensors",
    "gguf",
    "model-index",
    "widgetData",
    "spaces",
    "usedStorage",
)
"""What a plain info call tells beside the list's form."""
