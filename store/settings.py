"""Django settings. Values that differ between sites come from ``store.env``, nothing else."""

import secrets
import sys
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import django_stubs_ext

from store.engines import addresses
from store.env import read_env

django_stubs_ext.monkeypatch()  # lets class bases say what they hold, as the types know it

ENV = read_env()
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = ENV.data_dir if ENV.data_dir.is_absolute() else BASE_DIR / ENV.data_dir
TESTING = "pytest" in sys.modules


def _secret_key() -> str:
    """Return the configured key, or the one this data folder keeps (made on first use)."""
    if given := ENV.secret_key.get_secret_value():
        return given
    kept = DATA_DIR / "secret_key"
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    try:
        with kept.open("x") as file:
            kept.chmod(0o600)
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return kept.read_text()


def _database() -> dict[str, object]:
    """Return Django's database entry from DATABASE_URL, or for the embedded engine."""
    common: dict[str, object] = {
        "ENGINE": "store.core.postgres",
        "OPTIONS": {
            "options": "-c lock_timeout=30s -c statement_timeout=120s",
            "prepare_threshold": 5,  # allows it; only ``store.core.database`` asks for it
        },
    }
    if not TESTING:  # one pool a process: 64 threads do not need 64 connections
        common["OPTIONS"] = {
            **common["OPTIONS"],  # type: ignore[dict-item]
            "pool": {"min_size": 1, "max_size": 16, "timeout": 20},
        }
    if not ENV.database_url:
        engine = addresses(DATA_DIR)
        host, port = str(engine.postgres_socket_dir), engine.postgres_port
        return common | {"NAME": "store", "USER": "store", "HOST": host, "PORT": port}
    url = urlsplit(ENV.database_url)
    options = {**common["OPTIONS"], **dict(parse_qsl(url.query))}  # type: ignore[dict-item]
    return common | {
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": url.port or "",
        "OPTIONS": options,
    }


def _redis_urls() -> tuple[str, str]:
    """Return (cache address, Celery broker address)."""
    url = ENV.redis_url or f"unix://{addresses(DATA_DIR).valkey_socket}?db=0"
    if url.startswith("unix://"):  # Celery's transport spells unix sockets in its own way
        return url, url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
    return url, url


SECRET_KEY = _secret_key()
DEBUG = ENV.debug
ALLOWED_HOSTS = [host.strip() for host in ENV.allowed_hosts.split(",") if host.strip()]
PUBLIC_URL = (ENV.public_url or f"http://127.0.0.1:{ENV.port}").rstrip("/")
SITE_NAME = ENV.site_name

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    # its models and its arithmetic of second factors; none of its pages. ``account`` because
    # ``mfa`` reads it. Before our own, which take their pages out of the administration.
    "allauth.account",
    "allauth.mfa",
    "store.core",
    "accounts",
    "catalog",
    "licensing",
    "inference",
    "hub",
    "workers",
]

MIDDLEWARE = [
    "store.core.latency.LatencyMiddleware",
    "store.core.web.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.ViewerMiddleware",
    "accounts.throttling.RateLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # security keys find the request by it
    "store.core.web.ErrorMiddleware",
]

ROOT_URLCONF = "store.urls"
WSGI_APPLICATION = "store.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "store.core.web.site",
            ],
        },
    },
]

DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL, BROKER_URL = _redis_urls()
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_timeout": 10, "socket_connect_timeout": 5},  # seconds
    }
}

SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # names are unique whatever their case, by constraint
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.signin.NameOrEmailBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
PASSWORD_RESET_TIMEOUT = 3600  # seconds

MFA_ADAPTER = "accounts.mfa.SealingAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1  # steps of 30 s: clocks of telephones are that good
MFA_RECOVERY_CODE_DIGITS = 12  # 40 bits; six digits are the authenticator's
MFA_RECOVERY_CODE_COUNT = 10

SESSION_ENGINE = "django.contrib.sessions.backends.db"  # Valkey may be away, or behind
SESSION_COOKIE_AGE = 30 * 86400  # seconds
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = ENV.https
CSRF_COOKIE_SECURE = ENV.https
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "store.core.web.csrf_failure"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if ENV.https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "media-src": ["'self'"],  # attachments of comments
        # uploads of the publish page go straight to the object store when there is one
        "connect-src": ["'self'", *filter(None, [ENV.s3_public_endpoint or ENV.s3_endpoint])],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

# Hub clients send commits of 150 MB and forms of thousands of paths; our own views bound them.
DATA_UPLOAD_MAX_MEMORY_SIZE = None
DATA_UPLOAD_MAX_NUMBER_FIELDS = None

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LANGUAGE_COOKIE_AGE = 365 * 86400  # seconds
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = ENV.https
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

BLOB_DIR = DATA_DIR / "blobs"
"""Large files of the local storage."""
SPOOL_DIR = DATA_DIR / "spool"
"""Request bodies on their way in."""
MODEL_DIR = DATA_DIR / "models"
"""Model files that inference workers keep ready."""
EVAL_DATA_DIR = ENV.eval_data_dir or DATA_DIR / "evaluations"
"""Tasks of lm-evaluation-harness the site has itself, and data sets of others it keeps."""
LICENSE_KEY_DIR = ENV.license_key_dir or DATA_DIR / "license-keys"
"""Private keys that sign licenses."""

TAX_TABLE = ENV.tax_table

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEBUG or TESTING
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.rest.ViewerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "store.core.rest.error_response",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "GPT Store",
    "DESCRIPTION": "Everything the site does, for programs.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "ExplanationKindEnum": ["tokens", "saliency", "attention", "lens"],
        "ExplanationStateEnum": "inference.models.Explanation.State",
        "SuiteKindEnum": "inference.models.Suite.Kind",
        "StateEnum": "store.core.models.Job.State",
        "OfferKindEnum": [
            ("free", "Free"),
            ("fixed", "One price"),
            ("pwyw", "Pay what you want"),
            ("subscription", "Subscription"),
        ],
        "CollectionItemTypeEnum": ["model", "collection"],
        "WatchTypeEnum": ["user", "org", "model", "dataset", "space", "bucket"],
        "DeliveryStateEnum": ["waiting", "delivered", "failed", "dropped"],
        "LicenseCodeEnum": "licensing.services.validating.Code",
        "SeatKindEnum": "licensing.models.SeatKind",
        "OrderStateEnum": "licensing.models.Order.State",
        "DiscussionStatusEnum": ["draft", "open", "closed", "merged"],
        "DiscussionEventKindEnum": [
            "comment",
            "status-change",
            "title-change",
            "commit",
            "pinning-change",
        ],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "store.core.openapi.add_common_parts",
    ],
}


def _mail() -> dict[str, object]:
    """Return Django's mail settings from STORE_EMAIL_URL."""
    if TESTING:
        return {"EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend"}
    if not ENV.email_url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    url = urlsplit(ENV.email_url)
    query = dict(parse_qsl(url.query))
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname or "localhost",
        "EMAIL_PORT": url.port or 25,
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_TLS": query.get("tls") == "true",
        "EMAIL_USE_SSL": query.get("ssl") == "true",
        "EMAIL_TIMEOUT": 15,
    }


globals().update(_mail())
DEFAULT_FROM_EMAIL = ENV.email_from
LOGGING_CONFIG = "store.core.logs.configure"
LOGGING = {"level": ENV.log_level, "format": ENV.log_format}
