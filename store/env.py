"""The environment, read once and typed. ``store.settings`` copies from here; nothing else reads it.

Every field carries a docstring with unit and range; ``docs/configuration.md`` has a line for each
and a test keeps the two together.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1024**2
GIB = 1024**3


def _split(value: Any) -> Any:
    """Turn ``a, b`` into its parts."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


_CommaSeparated = (NoDecode, BeforeValidator(_split))
_IssuerLine = Annotated[
    str, Field(pattern=r"^(?:none|(?:github|gitlab)=https?://[^\s/]+(?:/\S*[^\s/])?)$")
]


class RemoteEngine(BaseModel):
    """An OpenAI-compatible server that runs some of the models in place of the box."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Annotated[str, Field(min_length=1)] = "*"
    """Which: ``ns/name``, or a pattern such as ``ns/*``. Needed where no ``queue`` is named."""
    queue: Literal["", "inference", "inference-gpu"] = ""
    """Only those of this hardware class: ``inference`` (smaller than ``STORE_GPU_FROM_BYTES``) or
    ``inference-gpu``. Empty: of any size, and also what the store could not run itself."""
    base_url: HttpUrl
    """Where its API begins, as ``http://10.0.0.7:8000/v1``. Any address: the operator chose it."""
    model: str = ""
    """What the model is called there. Empty: ``ns/name``, as here."""
    api_key: SecretStr = SecretStr("")
    """Sent as ``Bearer``. Empty: none, or what ``api_key_file`` has."""
    api_key_file: Path | None = None
    """A file with the key, read at each request."""

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not (self.model_fields_set & {"models", "queue"}):
            raise ValueError("Say which models it runs, by models or by queue.")
        return self


class Env(BaseSettings):
    """All settings of the store. Names are upper-cased and prefixed with ``STORE_`` outside."""

    model_config = SettingsConfigDict(
        env_prefix="STORE_",
        env_file=".env",
        secrets_dir="/run/secrets" if Path("/run/secrets").is_dir() else None,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    """PostgreSQL as ``postgres://user:password@host:port/name``. Empty: the embedded engine."""
    redis_url: Annotated[str, Field(validation_alias="REDIS_URL")] = ""
    """Redis or Valkey as ``redis://host:port/0``. Empty: the embedded engine."""

    data_dir: Path = Path("var")
    """Folder for everything the store keeps on disk: engines, blobs, logs, caches."""
    secret_key: SecretStr = SecretStr("")
    """Signs sessions and upload links. Empty: a random key is made once and kept in the data
    folder, readable by its owner only. Sites with several machines must set it."""
    debug: bool = False
    """Show tracebacks to the browser. Never on a site that strangers reach."""
    public_url: str = ""
    """The address people use, for links in mails and jobs, as ``https://models.example.org``.
    Empty: ``http://127.0.0.1:PORT``. Pages and APIs always answer with the caller's own host."""
    allowed_hosts: str = "*"
    """Host names the site answers to, comma-separated. ``*`` accepts any, for one machine."""
    host: str = "127.0.0.1"
    """Address the web server of ``make run`` listens on."""
    port: Annotated[int, Ge(1), Le(65535), Field(validation_alias="PORT")] = 8000
    """Port the web server of ``make run`` listens on."""
    https: bool = False
    """The site is reached over https: cookies become secure, HSTS is sent, and
    ``X-Forwarded-Proto`` of the proxy in front is trusted."""
    trusted_proxies: Annotated[int, Ge(0), Le(8)] = 0
    """How many proxies of our own stand in front; the client's address is taken that many places
    from the right of ``X-Forwarded-For``. 0 ignores the header; visitors whose requests carry it
    then share one limit, ten times as wide."""

    web_workers: Annotated[int, Ge(1), Le(64)] = 2
    """Web server processes of ``make run``."""
    web_threads: Annotated[int, Ge(4), Le(512)] = 64
    """Threads in each web process; a download or a stream holds one."""
    max_streams: Annotated[int, Ge(0), Le(512)] = 16
    """Event streams one web process serves at a time; past it pages poll instead."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_format: Literal["text", "json"] = "text"
    """``text`` for people, ``json`` for a log collector."""

    storage: Literal["local", "s3"] = "local"
    """Where large files live."""
    s3_bucket: str = ""
    """Bucket, with ``STORE_STORAGE=s3``."""
    s3_endpoint: str = ""
    """Address of an S3-compatible store, as the server reaches it. Empty: Amazon's."""
    s3_public_endpoint: str = ""
    """The same, as clients reach it (presigned links). Empty: ``STORE_S3_ENDPOINT``."""
    s3_region: str = "us-east-1"
    """Region name that signatures use."""
    s3_access_key: SecretStr = SecretStr("")
    """Access key id. Empty: the library's own search (environment, instance role)."""
    s3_secret_key: SecretStr = SecretStr("")
    """Secret access key."""

    delivery: Literal["sendfile", "x-accel", "redirect"] = "sendfile"
    """How large files leave: the web server's own sendfile, nginx by ``X-Accel-Redirect``, or a
    redirect to a presigned link of the object store (needs ``STORE_STORAGE=s3``)."""
    x_accel_prefix: str = "/_blobs/"
    """Internal location of nginx that maps to the blob folder."""
    download_link_s: Annotated[int, Ge(30), Le(3600)] = 300
    """Life of a presigned download link, in seconds."""
    upload_link_s: Annotated[int, Ge(300), Le(7 * 86400)] = 86400
    """Life of a signed upload link, in seconds. Long uploads hold one for each part."""

    max_file_bytes: Annotated[int, Ge(1)] = 50 * GIB
    """Largest single file a publisher may push, in bytes."""
    max_commit_bytes: Annotated[int, Ge(MIB)] = GIB
    """Largest body of one commit request, in bytes (small files travel inside it)."""
    max_regular_file_bytes: Annotated[int, Ge(1), Le(64 * MIB)] = 10_000_000
    """Files of this size and more are stored as LFS objects, in bytes."""
    multipart_chunk_bytes: Annotated[int, Ge(5 * MIB), Le(5 * GIB)] = 64 * MIB
    """Size of one part of a multipart upload, in bytes. Files up to it go in one PUT."""

    xet_verify_at_once_bytes: Annotated[int, Ge(0)] = GIB
    """How much new content of one Xet upload is hashed again while the client waits, in bytes;
    larger files are verified by a job and until then served to their owners only."""
    xet_generation: Annotated[int, Ge(1)] = 1
    """Number in the address of the Xet service. Raise it after xorbs were lost (a restored
    backup): clients keep what they know of xorbs by that address, and start afresh."""
    xet_min_bytes: Annotated[int, Ge(0)] = 0
    """Files smaller than this are offered to clients by plain HTTP alone, in bytes: one request
    is faster there. But clients copy large files between repositories only by their Xet hash."""
    xet_convert: bool = True
    """Cut large files that came in one piece (git-lfs, the web form, imports) into chunks, by a
    job, and keep those in place of the whole. Without it such files cannot be copied to another
    repository by clients, which need a Xet hash, and nothing is shared with similar files."""
    xet_convert_saving: Annotated[float, Ge(0), Le(1)] = 0.0
    """The part of a file's size that must be saved for that, 0 to 1. 0: every file is cut; what is
    not can be fetched whole from an object store by anybody, but has no Xet hash."""
    xet_cache_bytes: Annotated[int, Ge(0)] = 20 * GIB
    """Room for whole copies of files in chunks that many people fetch by plain HTTP, in bytes.
    0: none are made."""
    xet_link_s: Annotated[int, Ge(1), Le(86400)] = 3600
    """Life of the links to pieces of xorbs, in seconds; clients renew them by themselves. Not
    below 60: a client asks for its new link first and may sleep 45 s before it uses it."""

    user_storage_bytes: Annotated[int, Ge(0)] = 100 * GIB
    """Room for the files of one person, in bytes; staff can give single ones more. 0: any."""
    organization_storage_bytes: Annotated[int, Ge(0)] = 1024 * GIB
    """Room for the files of one organization, in bytes. 0: any."""
    user_commits_per_hour: Annotated[int, Ge(0)] = 1_000
    """Commits one account may make in an hour. 0: any."""
    user_discussions_per_day: Annotated[int, Ge(0)] = 200
    """Discussions and pull requests one account may open in a day. 0: any."""
    user_comments_per_day: Annotated[int, Ge(0)] = 2_000
    """Comments and other changes one account may make in discussions in a day. 0: any."""
    max_picture_bytes: Annotated[int, Ge(1), Le(64 * MIB)] = 10 * MIB
    """Largest picture somebody may attach to a comment, in bytes."""
    max_media_bytes: Annotated[int, Ge(1), Le(1024 * MIB)] = 50 * MIB
    """Largest sound or film somebody may attach to a comment, in bytes."""

    rate_limits: Literal["on", "off"] = "on"
    """Limits on requests, log-ins and generations. Off only for tests and closed networks."""
    rate_window_s: Annotated[int, Ge(1), Le(3600)] = 300
    """Length of the windows in which requests are counted, in seconds."""
    visitor_api_requests: Annotated[int, Ge(0)] = 3_000
    """Calls of the APIs one address may make in a window when nobody is signed in. 0: any."""
    visitor_resolvers_requests: Annotated[int, Ge(0)] = 15_000
    """Files one address may ask for in a window when nobody is signed in. 0: any."""
    visitor_xet_requests: Annotated[int, Ge(0)] = 15_000
    """Calls of the Xet service one address may make in a window without a person. 0: any."""
    visitor_pages_requests: Annotated[int, Ge(0)] = 3_000
    """Pages one address may ask for in a window when nobody is signed in. 0: any."""
    visitor_licenses_requests: Annotated[int, Ge(0)] = 6_000
    """Calls of the license API by key one address may make in a window without a person. 0: any."""
    user_api_requests: Annotated[int, Ge(0)] = 15_000
    """Calls of the APIs one account may make in a window. 0: any."""
    user_resolvers_requests: Annotated[int, Ge(0)] = 75_000
    """Files one account may ask for in a window. 0: any."""
    user_xet_requests: Annotated[int, Ge(0)] = 75_000
    """Calls of the Xet service one account may make in a window. 0: any."""
    user_pages_requests: Annotated[int, Ge(0)] = 15_000
    """Pages one account may ask for in a window. 0: any."""
    user_licenses_requests: Annotated[int, Ge(0)] = 30_000
    """Calls of the license API by key one account may make in a window. 0: any."""
    visitor_tokens_per_day: Annotated[int, Ge(0)] = 20_000
    """New tokens a visitor who is not signed in may generate in a day."""
    user_tokens_per_day: Annotated[int, Ge(0)] = 200_000
    """New tokens a signed-in person may generate in a day."""
    organization_tokens_per_day: Annotated[int, Ge(0)] = 1_000_000
    """New tokens all members of an organization may generate in its name in a day."""
    license_tokens_per_day: Annotated[int, Ge(0)] = 2_000_000
    """New tokens that may be generated in a day with one license whose terms allow a hosted
    service. They count for the license, not for the person."""
    visitor_completions_requests: Annotated[int, Ge(0)] = 300
    """Calls of the OpenAI-compatible API one address may make in a window without a person.
    0: any."""
    user_completions_requests: Annotated[int, Ge(0)] = 3_000
    """Calls of the OpenAI-compatible API one account may make in a window. 0: any."""
    completion_wait_s: Annotated[int, Ge(1), Le(3600)] = 120
    """How long a call of the OpenAI-compatible API that does not stream waits for its answer, in
    seconds; then the run is stopped."""

    model_memory_bytes: Annotated[int, Ge(64 * MIB)] = 6 * GIB
    """Memory all resident demo models may use together, in bytes."""
    spare_box: bool = True
    """Keep a process that has imported torch ready for the next model: it then answers after half a
    second instead of five, for 270 MB of memory."""
    model_folder_bytes: Annotated[int, Ge(64 * MIB)] = 20 * GIB
    """Size of the model files workers keep ready under ``models`` in the data folder, in bytes.
    With local storage they are links and need no room of their own."""
    box_memory_bytes: Annotated[int, Ge(512 * MIB)] = 8 * GIB
    """Memory one model process may use, in bytes."""
    gpu_from_bytes: Annotated[int, Ge(0)] = 2 * GIB
    """Models whose weights have so many bytes run on a graphics card where a worker has one;
    smaller ones only where no other worker is there."""
    metrics_token: SecretStr = SecretStr("")
    """Opens `/metrics` to the monitoring: `Authorization: Bearer …`. Without one the page is not
    there."""
    generation_timeout_s: Annotated[int, Ge(5), Le(3600)] = 300
    """Wall time one generation may take, in seconds, loading included."""
    walk_model: str = ""
    """Model the page "How it works" takes apart, ``ns/name``; empty: the smallest public one that
    runs."""
    evaluate_on_publish: Annotated[tuple[str, ...], *_CommaSeparated] = ("quick",)
    """Suites the store itself runs on each new revision, comma-separated keys of
    docs/evaluations.md. ``none``: no suite."""
    evaluate_demo: Annotated[tuple[str, ...], *_CommaSeparated] = ("all",)
    """Suites the first start runs on the demo catalogue, comma-separated; ``all``: every built-in
    one. Where the store runs none on new revisions, it runs none here."""
    evaluations_at_once: Annotated[int, Ge(1), Le(64)] = 1
    """Evaluations that run side by side, in the whole store; the others wait their turn."""
    user_evaluations_per_day: Annotated[int, Ge(0)] = 20
    """Evaluations one account may ask for in a day. 0: any."""
    eval_tasks: Annotated[tuple[str, ...], *_CommaSeparated] = ()
    """Tasks of lm-evaluation-harness people may ask for by name, comma-separated. ``*``: all that
    run without a model's own code."""
    eval_samples: Annotated[int, Ge(0)] = 1_000
    """Questions of such a task that are asked, from the first. 0: all."""
    eval_data_dir: Path | None = None
    """Folder for them: the site's own tasks in ``tasks`` (YAML, trusted), cached data sets in
    ``hub``. Empty: ``evaluations`` in the data folder."""
    eval_fetch: bool = False
    """Evaluations may fetch the data of such tasks from the Hugging Face hub. Off, only what is in
    that folder is there."""
    allow_unprotected_box: bool = False
    """Run models even where the system offers no way to cut them off the network or the store's
    files."""

    engines: tuple[RemoteEngine, ...] = ()
    """Models that OpenAI-compatible servers run in place of the store's own box, as JSON (docs/
    openai-api.md). The first that fits counts."""

    gateways: Annotated[tuple[Literal["sandbox", "invoice", "stripe"], ...], *_CommaSeparated] = (
        "sandbox",
    )
    """Ways to pay, comma-separated, the usual one first: ``sandbox`` (pretended money, for trying
    things out), ``invoice`` (bank transfer, confirmed by staff), ``stripe``."""
    bank_details: str = ""
    """The store's bank account as buyers read it, with ``invoice`` among the gateways: name, IBAN,
    BIC and bank, in several lines (``\\n`` between them)."""
    stripe_secret_key: SecretStr = SecretStr("")
    """Secret key of the Stripe account, with ``stripe`` among the gateways: ``sk_test_…`` for
    test money, ``sk_live_…`` for real money, or a restricted key (``rk_…``)."""
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], *_CommaSeparated] = ()
    """Signing secrets of the webhook endpoints at Stripe (``whsec_…``), comma-separated: one for
    the account, one for connected accounts, and old ones while they are being replaced."""
    stripe_api_base: str = ""
    """Address of the Stripe API. Empty: Stripe's own. For tests."""
    payout_hold_days: Annotated[int, Ge(0), Le(180)] = 14
    """How long a seller's part of a sale is held before it can be paid out, in days."""
    payout_least_minor: Annotated[int, Ge(1)] = 1_000
    """Least amount that is paid out, in the smallest unit of its currency (1,000 is 10 euros, and
    1,000 yen); less waits for the next payout."""
    payout_day: Annotated[int, Ge(0), Le(28)] = 0
    """Day of the month on which sellers are paid what was available at its start (UTC), 1 to 28.
    0: only when staff run payouts."""
    trust_vat_numbers: bool = False
    """Take a buyer's VAT number for confirmed once its check digits are right: businesses in other
    EU states then pay no VAT (reverse charge). Off, it is charged until staff confirmed the
    number; only a tax office knows whether a number is in use."""
    refund_days: Annotated[int, Ge(0), Le(365)] = 14
    """How long a buyer may ask for a refund, in days."""

    oidc_issuers: Annotated[tuple[_IssuerLine, ...], *_CommaSeparated] = (
        "github=https://token.actions.githubusercontent.com",
        "gitlab=https://gitlab.com",
    )
    """Whose CI jobs can publish without a stored token (trusted publishers), comma-separated: what
    its tokens look like, ``github`` or ``gitlab``, and the ``iss`` they carry. Jobs must name
    ``STORE_PUBLIC_URL`` as the audience. ``none``: nobody's."""

    outgoing_http: bool = False
    """Webhooks may have plain http addresses. Only for development and closed networks."""
    outgoing_ports: Annotated[tuple[Annotated[int, Ge(0), Le(65535)], ...], *_CommaSeparated] = (
        80,
        443,
    )
    """Ports webhooks may have, comma-separated. 0: any."""
    outgoing_networks: Annotated[tuple[IPvAnyNetwork, ...], *_CommaSeparated] = ()
    """Networks webhooks may reach although they are not the public internet, comma-separated, as
    ``127.0.0.0/8,10.1.0.0/16``. Whoever may make a webhook can then send to any machine in them."""
    webhook_events_per_day: Annotated[int, Ge(0)] = 1_000
    """Events one webhook is told of in a day; more are not sent. 0: any."""

    license_key_dir: Path | None = None
    """Folder of the private keys that sign licenses, for its owner only; the first key is made on
    first use. Empty: ``license-keys`` in the data folder. Keep a copy in a safe place."""
    license_key: SecretStr = SecretStr("")
    """The private keys themselves, for sites of several machines: Ed25519, as PEM or as base64 of
    32 bytes, several with spaces or commas between. The first signs, the others go on verifying.
    Empty: the folder's."""
    activation_silent_days: Annotated[int, Ge(0), Le(3650)] = 0
    """A machine that was not heard of for so many days gives its seat up when another one needs it
    and no seat is free. 0: never; seats are given up by hand."""
    tax_table: str = ""
    """Path of a CSV file of tax rates that go before the store's own (docs/tax.md). Empty: none.
    A table that cannot be read stops the start."""
    recent_login_s: Annotated[int, Ge(60), Le(86400)] = 900
    """How long after a log-in, or after a password or a code was given again, pages about money
    and security open without asking once more, in seconds."""
    staff_two_factor: Literal["on", "off"] = "on"
    """Staff enter the administration, and have the power of staff elsewhere, only with two-factor
    authentication. Off only for closed networks."""

    email_url: str = ""
    """Outgoing mail as ``smtp://user:password@host:587/?tls=true``. Empty: printed to the log."""
    email_from: str = "GPT Store <store@localhost>"
    """Sender of the store's mails."""
    notice_mails_per_hour: Annotated[int, Ge(0)] = 30
    """Letters about notices one person gets in an hour; what is more stays in the inbox. 0: any."""
    site_name: str = "GPT Store"
    """Name in titles and mails."""


@lru_cache(maxsize=1)
def read_env() -> Env:
    """Read the environment once. All mistakes are reported together, by pydantic."""
    return Env()
