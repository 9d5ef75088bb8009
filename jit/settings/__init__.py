"""The one place of settings. What differs between installations comes from the environment."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.utils.csp import CSP
from kombu import Queue

from jit import env, keepalive
from jit.settings.gateways import *  # noqa: F403
from jit.settings.recordings import *  # noqa: F403

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parents[2]

# --- The installation -----------------------------------------------------------------
DEBUG = env.flag("JIT_DEBUG")
EMBEDDED = env.flag("JIT_EMBEDDED")
"""True under `make run` and the tests: local accounts, child-process servers."""
SECRET_KEY = env.secret("JIT_SECRET_KEY", "")
BASE_URL = env.text("JIT_BASE_URL", "http://127.0.0.1:8000")
ALLOWED_HOSTS = env.listing("JIT_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = [BASE_URL]
SEALING_KEY = hashlib.sha256(
    b"jit/sealing\0" + base64.b64decode(env.secret("JIT_SEALING_KEY", ""))
).digest()
"""Wraps the data keys of sealed values. `JIT_SEALING_KEY` is 32 random bytes in base64."""
SEALING_KEY_BYTES = len(base64.b64decode(env.secret("JIT_SEALING_KEY", "")))
AUDIT_KEY_FILE = env.text("JIT_AUDIT_KEY_FILE", "")
"""The Ed25519 private key (PEM) that signs checkpoints, apart from all other keys."""
AUDIT_ORIGIN = env.text("JIT_AUDIT_ORIGIN", "jit.local/audit")
"""The log's name on its checkpoints (C2SP tlog-checkpoint)."""

# --- Applications ---------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "django_otp",
    "jit.audit",
    "jit.identity",
    "jit.tickets",
    "jit.notifications",
    "jit.policy",
    "jit.catalog",
    "jit.elevation",
    "jit.workflow",
    "jit.api",
    "jit.web",
    "jit.ops",
    "approvals",
    "sessions",
]
MIDDLEWARE = [
    "jit.ops.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "jit.ops.middleware.CompleteAddresses",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jit.identity.middleware.SecondFactor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "jit.urls"
ASGI_APPLICATION = "jit.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "loaders": [
                "django.template.loaders.filesystem.Loader",
                "django.template.loaders.app_directories.Loader",
            ]
            if DEBUG
            else [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "jit.web.context.chrome",
            ],
        },
    }
]

# --- Ports and pluggable parts: dotted paths, checked at start -------------------------
APPROVALS_BACKEND = "approvals.backend.Approvals"
SESSIONS_BACKEND = "sessions.backend.Sessions"
REQUEST_CHANGED_TASKS: list[str] = []
"""Tasks of the wings, by name, that hear of every change of requests (with their ids)."""
STATE_MACHINES = ["approvals.states.CHAIN", "approvals.states.STEP", "sessions.states.SESSION"]
"""The wings' tables of moves, for the documentation and the checks."""
METRICS = ["sessions.metrics.families"]
"""The wings' part of `/metrics`: functions of an `Asking` that yield families of Prometheus."""
READINESS = {"gateways": "sessions.health.gateways", "sessions": "sessions.health.sealing"}
"""The wings' part of `/readyz`, by name: functions that return whether it is well, and how."""
SEALED_STORE = "jit.catalog.sealed_store.opened"
"""What opens `db:` references to secrets: a function from a name to its secret."""
CONNECTORS = {
    "postgresql": "jit.connectors.postgresql.PostgreSQL",
    "ssh": "jit.connectors.ssh.SSH",
}
CONNECTOR_PLUGINS = env.listing("JIT_CONNECTOR_PLUGINS")
"""Distributions whose `jit.connectors` entry points may be loaded: an entry point is code."""
TICKET_SYSTEMS: dict[str, dict[str, Any]] = {
    "local": {"adapter": "jit.tickets.adapters.local.Local"},
}
if env.text("JIT_JIRA_URL", ""):
    TICKET_SYSTEMS["jira"] = {
        "adapter": "jit.tickets.adapters.jira.Jira",
        "url": env.text("JIT_JIRA_URL"),
        "user": env.text("JIT_JIRA_USER", ""),
        "token": env.secret("JIT_JIRA_TOKEN", ""),
        "severity_field": env.text("JIT_JIRA_SEVERITY_FIELD", "priority"),
    }
DEFAULT_TICKET_SYSTEM = env.text("JIT_TICKET_SYSTEM", "local")
TICKET_COMMENTS = env.listing("JIT_TICKET_COMMENTS", ",".join(TICKET_SYSTEMS))
"""The ticket systems under whose tickets it is written what becomes of a request; none if empty."""

# --- On call: nobody is, unless a system is named (docs/howto/on-call.md) ------------------
ONCALL_SYSTEMS: dict[str, dict[str, Any]] = {}
if env.secret("JIT_ONCALL_PAGERDUTY_TOKEN", ""):
    ONCALL_SYSTEMS["pagerduty"] = {
        "adapter": "jit.oncall.adapters.pagerduty.PagerDuty",
        "url": env.text("JIT_ONCALL_PAGERDUTY_URL", "https://api.pagerduty.com"),
        "token": env.secret("JIT_ONCALL_PAGERDUTY_TOKEN"),
        "levels": env.integer("JIT_ONCALL_PAGERDUTY_LEVELS", 1),
        "people": dict(
            pair.partition("=")[::2] for pair in env.listing("JIT_ONCALL_PAGERDUTY_PEOPLE")
        ),
    }
if env.text("JIT_ONCALL_HTTP_URL", ""):
    ONCALL_SYSTEMS["http"] = {
        "adapter": "jit.oncall.adapters.generic.Http",
        "url": env.text("JIT_ONCALL_HTTP_URL"),
        "secret": env.secret("JIT_ONCALL_HTTP_SECRET", ""),
        "levels": env.integer("JIT_ONCALL_HTTP_LEVELS", 1),
    }
ONCALL_SERVICES = env.listing("JIT_ONCALL_SERVICES")
"""What policies call the services, and where to ask for them: `name=system/service`, by commas."""
ONCALL_TIMEOUT = env.integer("JIT_ONCALL_TIMEOUT", 5)
"""Seconds for all on-call look-ups of one decision; who has not answered then is not on call."""
ONCALL_WEBHOOK_SECRETS = env.secrets("JIT_ONCALL_PAGERDUTY_WEBHOOK_SECRET")
ONCALL_CHANGED_TASKS = ["approvals.pager_changed"]
"""Tasks, by name, that hear of a service whose on-call may have changed (with its name)."""
GROUP_CHANGED_TASKS = ["approvals.group_changed"]
"""Tasks, by name, that hear of a group whose members changed (with its slug)."""
POLICY_DIR = Path(env.text("JIT_POLICY_DIR", str(BASE_DIR / "policies")))

# --- Slack: off unless a bot token is given (docs/howto/slack-operators.md) ---------------
SLACK: dict[str, Any] = {
    "bot_token": env.secret("JIT_SLACK_BOT_TOKEN", ""),
    "signing_secrets": env.secrets("JIT_SLACK_SIGNING_SECRET"),
    "app_token": env.secret("JIT_SLACK_APP_TOKEN", ""),
    "api_url": env.text("JIT_SLACK_API_URL", "https://slack.com/api/"),
    "channel": env.text("JIT_SLACK_CHANNEL", ""),
    "response_hosts": env.listing(
        "JIT_SLACK_RESPONSE_HOSTS", "hooks.slack.com,hooks.slack-gov.com"
    ),
}
SLACK_STEP_UP_AGE = env.integer("JIT_SLACK_STEP_UP_AGE", 900)
"""How fresh the approver's second factor must be where a policy says slack_with_recent_step_up."""
if SLACK["bot_token"]:
    REQUEST_CHANGED_TASKS.append("approvals.slack.redraw")

# --- Data -----------------------------------------------------------------------------
DATABASES = {"default": env.database(env.secret("DATABASE_URL", "postgresql:///jit"))}
if env.secret("DATABASE_OWNER_URL", ""):
    DATABASES["owner"] = env.database(env.secret("DATABASE_OWNER_URL"))
    DATABASES["owner"]["OPTIONS"].pop("pool")
    DATABASES["owner"]["OPTIONS"]["options"] += " -c lock_timeout=4s"
DATABASE_PATIENCE = env.integer("JIT_DATABASE_PATIENCE", 60)
"""Seconds without an answer after which a worker or a clock ends, and for which one that starts
waits for its database: longer than a restart or a fail-over takes.
"""
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.secret("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"pool_class": "jit.kernel.cache.OnePool"},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "max_connections": 10000, "socket_timeout": 15}]
        },
    }
}
"""The layer waits five seconds at a time for a message; redis-py's own limit is five as well, and
whichever is later would end the websocket of a page on which nothing happens.
"""

# --- Celery ---------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
PROMISED_QUEUE, BACKGROUND_QUEUE = "jit", "jit-background"
"""What gives and ends privilege has a queue of its own, and so threads that nothing else takes. All
else is slow, optional, or waits for systems that owe us nothing; each queue has workers of its own.
"""
PROMISED_TASKS = [
    "jit.workflow.sweep",
    "jit.workflow.end_due",
    "jit.workflow.revoke",
    "jit.workflow.requester_left",
    "jit.workflow.activate",
    "jit.workflow.extend",
    "sessions.bury_the_silent",
]
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in (PROMISED_QUEUE, BACKGROUND_QUEUE)]
CELERY_TASK_DEFAULT_QUEUE = BACKGROUND_QUEUE
CELERY_TASK_ROUTES = {name: {"queue": PROMISED_QUEUE} for name in PROMISED_TASKS}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 3,
    # One that vanished or hangs is given up; kombu itself listens for 51 s and sends for ever.
    "socket_timeout": 3,
    "health_check_interval": 5,
    "socket_keepalive": True,
    "socket_keepalive_options": keepalive.TCP,
    # Whoever enqueues tries twice and goes on: the row is the truth, nobody waits for a broker.
    "max_retries": 1,
    "interval_start": 0,
}
CELERY_WORKER_CONSUMER = "jit.ops.consumer:LastingConsumer"
CELERY_BEAT_SCHEDULER = "jit.ops.beat:LockedScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_IMPORTS = ["approvals.slack.tasks", "sessions.recording.tasks"]
_EVERY = {
    "jit.workflow.sweep": 1,
    "jit.audit.seal": 1,
    "jit.workflow.poll_tickets": 30,
    "jit.workflow.reconcile": 60,
    "jit.catalog.check_health": 30,
    "jit.audit.tidy_words": 10,
    "jit.audit.ensure_partitions": 3600,
    "jit.policy.watch_drift": 60,
    "jit.ops.clear_sessions": 86400,
    "jit.notifications.deliver": 2,
    "jit.notifications.clear_old": 3600,
    "jit.workflow.tell_ending_soon": 10,
    "sessions.bury_the_silent": 5,
    "sessions.recording.seal": 5,
    "sessions.recording.index": 5,
    "sessions.recording.check_again": 300,
    "sessions.recording.delete_what_is_due": 3600,
}
if SLACK["bot_token"]:
    _EVERY |= {"approvals.slack.sweep": 5, "approvals.slack.watch": 30}
CELERY_BEAT_SCHEDULE = {
    name: {
        "task": name,
        "schedule": seconds,
        "options": {"expires": max(seconds, 2), "retry": False},
    }
    for name, seconds in _EVERY.items()
}

# --- Notifications (docs/howto/notifications.md) ----------------------------------------
NOTIFICATION_CHANNELS = {
    "in_app": "jit.notifications.channels.in_app.InApp",
    "webhook": "jit.notifications.channels.webhook.Webhook",
    "ticket": "jit.workflow.write_back.TicketComments",
}
"""Where people hear of things; the inbox is always there, e-mail once a server is named."""
if SLACK["bot_token"]:
    NOTIFICATION_CHANNELS["slack"] = "approvals.slack.channel.Slack"
MAILERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
}
if env.text("JIT_EMAIL_HOST", ""):
    NOTIFICATION_CHANNELS["email"] = "jit.notifications.channels.email.Email"
    MAILERS["default"] = {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": env.text("JIT_EMAIL_HOST"),
            "port": env.integer("JIT_EMAIL_PORT", 587),
            "username": env.text("JIT_EMAIL_USER", ""),
            "password": env.secret("JIT_EMAIL_PASSWORD", ""),
            "use_tls": env.choice("JIT_EMAIL_TLS", "starttls", "tls", "none") == "starttls",
            "use_ssl": env.choice("JIT_EMAIL_TLS", "starttls", "tls", "none") == "tls",
            "timeout": 10,
        },
    }
DEFAULT_FROM_EMAIL = env.text("JIT_EMAIL_FROM", "jit@localhost")
WEBHOOK_NETWORKS = env.listing("JIT_WEBHOOK_NETWORKS")
"""Private networks that webhooks may go to nevertheless; to nowhere private otherwise."""
WEBHOOK_CA_FILE = env.text("JIT_WEBHOOK_CA_FILE", "")
"""The authorities that webhooks trust, where not those of the system."""
WEBHOOK_TIMEOUT = env.integer("JIT_WEBHOOK_TIMEOUT", 10)
"""Seconds for one delivery to an endpoint, all in all."""
WEBHOOK_WORKERS = env.integer("JIT_WEBHOOK_WORKERS", 2)
"""How many workers may wait for endpoints at one time."""
WEBHOOK_GIVE_UP_AFTER = env.integer("JIT_WEBHOOK_GIVE_UP_AFTER", 3 * 86400)
"""Seconds without any success after which an endpoint is disabled and the operators told."""
NOTIFICATIONS_KEPT_DAYS = env.integer("JIT_NOTIFICATIONS_KEPT_DAYS", 90)
ENDING_SOON = env.integer("JIT_ENDING_SOON", 600)
"""How long before the end of a grant its holder is told."""

# --- Sign-in --------------------------------------------------------------------------
AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = ["jit.identity.authentication.PasswordBackend"]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
CSRF_FAILURE_VIEW = "jit.web.views.errors.csrf_failure"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
OTP_TOTP_ISSUER = "JIT"

# --- The browser ----------------------------------------------------------------------
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
STATIC_URL = "/static/"
STATIC_ROOT = None if EMBEDDED else BASE_DIR / "staticfiles"
STATICFILES_DIRS: list[Path] = []
WHITENOISE_USE_FINDERS = EMBEDDED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if EMBEDDED
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

# --- REST -----------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "jit.identity.authentication.BearerToken",
        "jit.identity.authentication.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["jit.api.parsing.Json"],
    "DEFAULT_SCHEMA_CLASS": "jit.api.schema.Schema",
    "DEFAULT_THROTTLE_CLASSES": ["jit.api.throttling.PerPerson"],
    "DEFAULT_THROTTLE_RATES": {
        "read": f"{env.integer('JIT_READS_PER_MINUTE', 600)}/min",
        "write": f"{env.integer('JIT_WRITES_PER_MINUTE', 120)}/min",
    },
    "EXCEPTION_HANDLER": "jit.api.errors.problem",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Just-in-time privileged access",
    "DESCRIPTION": "Ask for a role, decide, use it, end it, and prove it.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",  # in 3.0 what is another shape or null can't be said
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["jit.api.schema.complete"],
}

# --- Language, time, log --------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
LOGGING_CONFIG = None
LOGGING_AS_JSON = env.flag("JIT_LOG_JSON", default=not DEBUG)
LOG_LEVEL = env.text("JIT_LOG_LEVEL", "INFO").upper()
PROCESS = env.text("JIT_PROCESS", "jit")
"""What this process is (`web`, `worker`, `beat`): in its log lines and database connections."""

# --- Promises, in seconds --------------------------------------------------------------
STUCK_AFTER = env.integer("JIT_STUCK_AFTER", 60)
"""A revocation not yet proven after this many seconds rings the bell."""
ACTIVATION_WINDOW = env.integer("JIT_ACTIVATION_WINDOW", 3600)
"""An approved grant that could not start within this is given up (and cleaned up)."""
DEFAULT_LAPSE = 3600
"""An unanswered request lapses after this unless its chain says otherwise."""
TICKET_CLOSED_NOTICE = env.integer("JIT_TICKET_CLOSED_NOTICE", 300)
"""How long before a ticket's closing ends its grants: the requester is told first."""
LEASE = env.integer("JIT_LEASE", 40)
"""How long a worker that was killed keeps others from its work; longer than a call to a target."""
CHANGE_FREEZE = env.flag("JIT_CHANGE_FREEZE")
"""Whether a change freeze is on; policies read it as `request.change_freeze`."""
METRICS_HOST = env.text("JIT_METRICS_HOST", "127.0.0.1")
TRUSTED_PROXIES = env.text("JIT_TRUSTED_PROXIES", "")
"""Who may ask for `/livez`, `/readyz` and `/metrics`: addresses and networks, by commas."""
