"""Addresses of the hub protocol, exactly as clients build them."""

from django.urls import path, re_path

from hub.views import (
    aliases,
    commit,
    identity,
    info,
    lfs,
    models,
    preupload,
    refs,
    repos,
    resolve,
    tree,
    webhooks,
)

API = "api/models/<seg:ns>/<seg:name>"

urlpatterns = [
    path("api/whoami-v2", identity.whoami),
    path("api/agent-harnesses", identity.agent_harnesses),
    path("api/telemetry/<path:topic>", identity.telemetry),
    path("api/validate-yaml", preupload.validate_yaml),
    path("api/repos/create", repos.create),
    path("api/repos/delete", repos.delete),
    path("api/repos/move", repos.move),
    path("api/settings/webhooks", webhooks.all_webhooks),
    path("api/settings/webhooks/<seg:ident>", webhooks.one_webhook),
    path("api/settings/webhooks/<seg:ident>/<seg:switch>", webhooks.switch_webhook),
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
    path(f"{API}/refs", tree.refs),
    path(f"{API}/commits/<rev:rev>", tree.commits),
    path(f"{API}/preupload/<rev:rev>", preupload.preupload),
    path(f"{API}/commit/<rev:rev>", commit.commit),
    path(f"{API}/branch/<file:ref>", refs.branch),
    path(f"{API}/tag/<file:rev>", refs.tag),
    path("<seg:ns>/<seg:name>.git/info/lfs/objects/batch", lfs.batch),
    path("<seg:ns>/<seg:name>.git/info/lfs/objects/verify", lfs.verify),
    path("<seg:ns>/<seg:name>.git/info/lfs/objects/<seg:oid>", lfs.download),
    path("<seg:ns>/<seg:name>/info/lfs/objects/batch", lfs.batch),
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
]
