"""Addresses of the hub protocol, exactly as clients build them."""

from django.urls import URLPattern, path, re_path

from hub.answers import HubView
from hub.views import (
    access_requests,
    aliases,
    commit,
    compare,
    copies,
    discussions,
    identity,
    info,
    lfs,
    models,
    oauth,
    others,
    preupload,
    refs,
    repos,
    resolve,
    storage,
    tree,
    uploads,
    vocabulary,
    xet_read,
    xet_tokens,
    xet_upload,
)

OTHER_TYPES = "datasets|spaces|kernels|buckets"
API = "api/models/<seg:ns>/<seg:name>"


def _xet(pattern: str, view: HubView) -> URLPattern:
    """Return a route of the Xet service, under each generation of its address."""
    return re_path(rf"^xet/(?:(?P<generation>[0-9]+)/)?{pattern}$", view)


_H = "[^/]+"
XET = [
    # Older clients left out the version, or wrote the singular (specification, routes).
    _xet(rf"(?:v1/)?xorbs?/[^/]+/(?P<xorb>{_H})", xet_upload.xorb),
    _xet(rf"v1/xorb-grants/[^/]+/(?P<xorb>{_H})", xet_upload.grant),
    _xet(rf"v1/xorb-uploads/(?P<proof>{_H})", xet_upload.granted_upload),
    _xet(rf"v1/xorb-commits/[^/]+/(?P<xorb>{_H})/grant/(?P<grant>{_H})", xet_upload.commit_grant),
    _xet(rf"(?:v1/)?shards?(?:/[^/]+/(?P<name>{_H}))?", xet_upload.shard_v1),
    _xet("v2/shards", xet_upload.shard_v2),
    _xet(rf"(?:v1/)?reconstructions?/(?P<file>{_H})", xet_read.reconstruction_v1),
    _xet(rf"v2/reconstructions/(?P<file>{_H})", xet_read.reconstruction_v2),
    _xet("v1/reconstructions", xet_read.batch),
    _xet(rf"v1/files/(?P<file>{_H})", xet_read.file_size),
    _xet(rf"v2/file-chunk-hashes/(?P<file>{_H})", xet_read.chunk_hashes),
    _xet(rf"(?:v1/)?chunks?/(?P<prefix>{_H})/(?P<chunk>{_H})", xet_read.chunk),
    _xet(rf"data/(?P<xorb>{_H})", xet_read.data),
    path("v1/telemetry", xet_tokens.telemetry),  # at the root, whatever the service's address
]

urlpatterns = [
    *XET,
    path("api/whoami-v2", identity.whoami),
    path("oauth/device", oauth.device),
    path("oauth/token", oauth.token),
    path("oauth/userinfo", oauth.userinfo),
    path(".well-known/openid-configuration", oauth.configuration),
    path("api/agent-harnesses", identity.agent_harnesses),
    path("api/telemetry/<path:topic>", identity.telemetry),
    path("api/models-tags-by-type", vocabulary.tags_by_type),
    path("api/tasks", vocabulary.tasks),
    path("api/validate-yaml", preupload.validate_yaml),
    path("api/repos/create", repos.create),
    path("api/repos/delete", repos.delete),
    path("api/repos/move", repos.move),
    path("api/settings/repositories", copies.my_repositories),
    path("api/organizations/<seg:org>/settings/repositories", copies.their_repositories),
    path("api/models", models.list_models),
    path("api/lfs/<seg:upload>", lfs.receive),
    path("api/lfs/<seg:upload>/complete", lfs.complete),
    path("api/lfs/<seg:upload>/<int:number>", lfs.receive_part),
    path(f"{API}", info.info),
    path(f"{API}/auth-check", identity.auth_check),
    path(f"{API}/auth-check/write", identity.auth_check_write),
    path(f"{API}/xet-read-token/<rev:rev>", xet_tokens.read_token),
    path(f"{API}/xet-write-token/<rev:rev>", xet_tokens.write_token),
    path(f"{API}/settings", repos.settings),
    path(f"{API}/revision/<rev:rev>", info.info),
    path(f"{API}/tree/<rev:rev>", tree.tree),
    path(f"{API}/tree/<rev:rev>/<file:path>", tree.tree),
    path(f"{API}/paths-info/<rev:rev>", tree.paths_info),
    path(f"{API}/treesize/<rev:rev>", tree.tree_size),
    path(f"{API}/treesize/<rev:rev>/<file:path>", tree.tree_size),
    path(f"{API}/compare/<file:spec>", compare.compare),
    path(f"{API}/scan", compare.scan),
    path(f"{API}/safetensors-metadata/<file:path>", compare.safetensors_metadata),
    path(f"{API}/refs", tree.refs),
    path(f"{API}/commits/<rev:rev>", tree.commits),
    path(f"{API}/preupload/<rev:rev>", preupload.preupload),
    path(f"{API}/commit/<rev:rev>", commit.commit),
    path(f"{API}/discussions", discussions.discussions),
    path(f"{API}/discussions/<int:number>", discussions.details),
    path(f"{API}/discussions/<int:number>/comment", discussions.comment),
    path(f"{API}/discussions/<int:number>/comment/<seg:cid>/edit", discussions.edit),
    path(f"{API}/discussions/<int:number>/comment/<seg:cid>/hide", discussions.hide),
    path(f"{API}/discussions/<int:number>/title", discussions.title),
    path(f"{API}/discussions/<int:number>/status", discussions.status),
    path(f"{API}/discussions/<int:number>/merge", discussions.merge),
    path(f"{API}/discussions/<int:number>/pin", discussions.pin),
    path("uploads", uploads.receive),
    path("uploads/<seg:name>", uploads.send),
    path(f"{API}/user-access-request/handle", access_requests.handle),
    path(f"{API}/user-access-request/grant", access_requests.grant),
    path(f"{API}/user-access-request/cancel", access_requests.cancel),
    path(f"{API}/user-access-request/batch", access_requests.batch),
    path(f"{API}/user-access-request/<seg:status>", access_requests.requests),
    path(f"{API}/branch/<file:ref>", refs.branch),
    path(f"{API}/tag/<file:rev>", refs.tag),
    path(f"{API}/super-squash/<file:ref>", storage.super_squash),
    path(f"{API}/duplicate", copies.duplicate_repo),
    path(f"{API}/lfs-files/duplicate", copies.duplicate_lfs_files),
    path(f"{API}/lfs-files", storage.lfs_files),
    path(f"{API}/lfs-files/batch", storage.delete_lfs_files),
    path(f"{API}/lfs-files/<seg:sha>", storage.delete_lfs_file),
    path("<seg:ns>/<seg:name>.git/info/lfs/objects/batch", lfs.batch),
    path("<seg:ns>/<seg:name>.git/info/lfs/objects/verify", lfs.verify),
    path("<seg:ns>/<seg:name>.git/info/lfs/objects/<seg:oid>", lfs.download),
    path("<seg:ns>/<seg:name>/info/lfs/objects/batch", lfs.batch),
    path("api/resolve-cache/models/<seg:ns>/<seg:name>/<rev:rev>/<file:path>", resolve.resolve),
    path("<seg:ns>/<seg:name>/resolve/<rev:rev>/<file:path>", resolve.resolve),
    path("<seg:ns>/<seg:name>/raw/<rev:rev>/<file:path>", resolve.raw),
    # last: a full id fits these patterns, too
    path("api/models/<seg:alias>", aliases.by_alias),
    re_path(
        r"^api/models/(?P<alias>[^/]+)/"
        r"(?:revision|tree|commits|refs|paths-info|preupload|commit|branch|tag|auth-check"
        r"|discussions|user-access-request|xet-read-token|xet-write-token)(?:/|$)",
        aliases.by_alias,
    ),
    re_path(r"^(?P<alias>[^/]+)/(?:resolve|raw)/[^/]+/.+$", aliases.by_alias),
    re_path(rf"^api/(?P<kind>{OTHER_TYPES})$", others.none_of_them),
    re_path(rf"^api/(?P<kind>{OTHER_TYPES})/(?P<rest>.+)$", others.other_type),
    re_path(
        rf"^(?P<kind>{OTHER_TYPES})/(?P<rest>[^/]+/[^/]+/(?:resolve|raw|info/lfs)/.+)$",
        others.other_type,
    ),
    re_path(r"^api/(?!v1/)(?P<rest>.*)$", others.nothing_here),
]
