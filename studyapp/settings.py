"""One settings file, 12-factor: everything that differs between machines comes from the environment.

`docs/settings.md` documents every variable. Nothing here starts a server: `manage.py` does (see `studyapp.embedded`).
"""

from pathlib import Path
from typing import Any

import environ

from studyapp.dashboard.look import UNFOLD  # noqa: F401  Unfold reads it from here

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEBUG = env.bool("DEBUG", default=False)
DATA_DIR = Path(env.str("PALATE_DATA", default=str(BASE_DIR / "var" / "data")))
HTTPS = env.bool("PALATE_HTTPS", default=True)
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
TRUSTED_PROXIES = env.list("PALATE_TRUSTED_PROXIES", default=[])
ENROL_LIMIT = env.str("PALATE_ENROL_LIMIT", default="60/m")

# --- applications -----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "inference.apps.InferenceConfig",
    "annotations.apps.AnnotationsConfig",
    "studyapp.apps.StudyappConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "studyapp.policy.PolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "studyapp.urls"
ASGI_APPLICATION = "studyapp.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Postgres and Redis -----------------------------------------------------------------------------------------------
DATABASES: dict[str, Any] = {"default": env.db("DATABASE_URL", default="postgres://palate@127.0.0.1:5432/palate")}
DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"]["connect_timeout"] = 5
DATABASES["default"]["CONN_MAX_AGE"] = 600
# Postgres plans a statement that a connection repeats once: planning the joins of a pair took longer than running them.
DATABASES["default"]["OPTIONS"]["server_side_binding"] = True
DATABASES["default"]["OPTIONS"].setdefault("prepare_threshold", 5)
# Threads a web process answers pages with; each keeps one database connection.
WEB_THREADS = env.int("PALATE_WEB_THREADS", default=3)

REDIS_URL: str = env.str("REDIS_URL", default="redis://127.0.0.1:6379")


def redis_url(number: int) -> str:
    """The address of database `number` of the configured Redis, for redis-py and channels-redis."""
    base = REDIS_URL.rstrip("/")
    return f"{base}?db={number}" if base.startswith("unix:") else f"{base}/{number}"


def broker_url() -> str:
    """Celery's address of database 0: kombu spells unix sockets its own way."""
    if REDIS_URL.startswith("unix:"):
        return "redis+socket://" + str(REDIS_URL).removeprefix("unix://") + "?virtual_host=0"
    return redis_url(0)


def channel_layer(timeout_s: float) -> dict[str, Any]:
    """The layer of the sockets, for a caller who may wait so long for Redis."""
    host = {"address": redis_url(1), "socket_timeout": timeout_s, "socket_connect_timeout": min(timeout_s, 2)}
    config = {"hosts": [host], "prefix": "palate", "expiry": 30, "group_expiry": 7200}
    return {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config}


# Whoever answers a participant waits no longer for a dead Redis, once in a few seconds (`inference.queue.silence`).
REDIS_S = 1
CHANNEL_LAYERS = {
    # Sockets block on Redis for 5 s at a time, as long as redis-py's own time-out: it must not win.
    "default": channel_layer(20),
    "nudges": channel_layer(REDIS_S),
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis_url(2),
        "KEY_PREFIX": "palate",
        "OPTIONS": {"socket_connect_timeout": REDIS_S, "socket_timeout": REDIS_S},
    }
}

CELERY_BROKER_URL = broker_url()
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A Redis that refuses writes, its disk full, is waited for like one that is away.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
# For those who ring; a worker, which listens, is more patient (`manage.py worker`).
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": REDIS_S,
    "socket_timeout": REDIS_S,
    "max_retries": 0,
    "interval_start": 0,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "palate"
# Only workers on a machine that shares PALATE_DATA with the web listen here: an export's file lies there.
EXPORT_QUEUE = "palate-exports"
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULE = {
    "sweep-generations": {"task": "inference.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "sweep-participants": {"task": "studyapp.sweep", "schedule": 30.0, "options": {"expires": 30}},
    "sweep-exports": {
        "task": "studyapp.sweep_exports",
        "schedule": 60.0,
        "options": {"expires": 60, "queue": EXPORT_QUEUE},
    },
}

# --- the study loop ---------------------------------------------------------------------------------------------------
# Called on commit with a generation's id whenever it became ready or failed.
GENERATION_LISTENERS = ["studyapp.live.generations_changed"]
BUNDLED_MODELS = BASE_DIR / "inference" / "bundled"
GENERATION_LEASE_S = env.int("PALATE_GENERATION_LEASE_S", default=60)
GENERATION_MAX_ATTEMPTS = env.int("PALATE_GENERATION_MAX_ATTEMPTS", default=6)
GENERATION_LIMIT_S = env.int("PALATE_GENERATION_LIMIT_S", default=900)

# --- people who sign in -----------------------------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"

# --- transport and content security -----------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = HTTPS and env.bool("PALATE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
CSRF_FAILURE_VIEW = "studyapp.views.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    # Unfold's admin needs inline scripts; participants' pages have none.
    "EXCLUDE_URL_PREFIXES": ["/admin/"],
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "manifest-src": ["'self'"],
    },
}

# --- language, time, static files -------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
MANIFEST_STATIC = env.bool("PALATE_MANIFEST_STATIC", default=not DEBUG)
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not MANIFEST_STATIC
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "studyapp.assets.AssetStorage"
        if MANIFEST_STATIC
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"httpx": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
