"""Addresses of the hub protocol, exactly as clients build them."""

from django.urls import path, re_path

from hub.views import (
    aliases,
    commit,
    compare,
    identity,
    info,
    lfs,
    models,
    others,
    preupload,
    refs,
    repos,
    resolve,
    storage,
    tree,
)

OTHER_TYPES = "datasets|spaces|kernels|buckets"
API = "api/models/<seg:ns>/<seg:name>"

urlpatterns = [
    path("api/whoami-v2", identity.whoami),
    path("api/agent-harnesses", identity.agent_harnesses),
    path("api/telemetry/<path:topic>", identity.telemetry),
    path("api/validate-yaml", preupload.validate_yaml),
    path("api/repos/create", repos.create),
    path("api/repos/delete", repos.delete),
    path("api/repos/move", repos.move),
    path("api/models", models.list_models),
    path("api/lfs/<seg:upload>", lfs.receive),
    path("api/lfs/<seg:upload>/complete", lfs.complete),
    path("api/lfs/<seg:upload>/<int:number>", lfs.receive_part),
    path(f"{API}", info.info),
    path(f"{API}/auth-check", identity.auth_check),
    path(f"{API}/auth-check/write", identity.auth_check_write),
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
    path(f"{API}/branch/<file:ref>", refs.branch),
    path(f"{API}/tag/<file:rev>", refs.tag),
    path(f"{API}/super-squash/<file:ref>", storage.super_squash),
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
        r"(?:revision|tree|commits|refs|paths-info|preupload|commit|branch|tag|auth-check)(?:/|$)",
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
