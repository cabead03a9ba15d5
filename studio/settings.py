"""One settings file. Everything comes from the environment; the defaults are the safe ones."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from celery.schedules import schedule as every
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from studio import zones
from studio.env import Env
from studio.storage import archive_from_url, storages_from_url

zones.use_packaged_rules()

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent
DATA = Path(env.text("LIKENESS_DATA", str(BASE_DIR / "var")))

DEBUG = env.flag("DEBUG")
DEMO = env.flag("LIKENESS_DEMO")
SECRET_KEY = env.text("SECRET_KEY", "")  # studio.checks refuses an empty, short or example key at start
SITE_URL = env.text("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
IS_HTTPS = SITE_URL.startswith("https://")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", urlsplit(SITE_URL).hostname or "")
CSRF_TRUSTED_ORIGINS = [SITE_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "django.contrib.admin",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "studio",
    "bookings",
    "galleries",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "studio.middleware.PageCompressionMiddleware",
    "studio.middleware.DatabaseUnavailableMiddleware",
    "studio.middleware.ReadableInputMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "studio.middleware.SecondFactorMiddleware",
    "studio.middleware.PrivatePageMiddleware",
]

ROOT_URLCONF = "studio.urls"
WSGI_APPLICATION = "studio.wsgi.application"
APPEND_SLASH = True
FORMS_URLFIELD_ASSUME_HTTPS = True

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
                "studio.context.studio",
            ],
        },
    }
]


def _database(url: str) -> dict[str, object]:
    """postgresql://user:password@host:port/name?host=/socket/folder&sslmode=…"""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", parts.hostname or "")
    port = query.pop("port", str(parts.port or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "CONN_MAX_AGE": env.number("DATABASE_MAX_AGE", 60),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, "options": "-c lock_timeout=10s", **query},
    }


DATABASES = {"default": _database(env.text("DATABASE_URL", "postgresql://likeness@localhost/likeness"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The throttles and lockouts of the sign-in live in PostgreSQL: flushing Redis unlocks nobody.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "studio_cache"},
    "pages": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.text("CACHE_URL", "redis://localhost:6379/1"),
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    },
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"

STORAGE_URL = env.text("STORAGE_URL", f"file://{DATA / 'media'}")
ARCHIVE_URL = env.text("ARCHIVE_URL", "")  # a second, cheaper store for originals of delivered pictures
STORAGES = {
    **storages_from_url(STORAGE_URL, DATA / "media"),
    **archive_from_url(ARCHIVE_URL),
    "staticfiles": {"BACKEND": "studio.stylesheet.StaticFiles"},
}
MEDIA_ROOT = str(DATA / "media")
FORM_RENDERER = "studio.forms.Renderer"
STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MODELS_ROOT = Path(env.text("LIKENESS_MODELS", str(BASE_DIR / "var" / "models")))
FILE_UPLOAD_MAX_MEMORY_SIZE = 1 << 20
MAX_UPLOAD_BYTES = env.number("MAX_UPLOAD_BYTES", 500_000_000)  # one file; cameras write up to about 250 MB
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 << 20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

# --- people
AUTH_USER_MODEL = "studio.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "desk"
LOGOUT_REDIRECT_URL = "desk"  # it leads to the sign-in, and the copy of today goes (desk_worker.js)
ACCOUNT_ADAPTER = "studio.accounts.StaffAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # accounts are made by the owner, not by sign-up
ACCOUNT_PREVENT_ENUMERATION = "strict"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_REAUTHENTICATION_REQUIRED = False
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG or DEMO
ALLAUTH_TRUSTED_PROXY_COUNT = env.number("TRUSTED_PROXY_COUNT", 0)

# --- the browser's side of safety
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "blob:", "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "manifest-src": [CSP.SELF],
    "worker-src": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    # A browser holds the redirect after a form to this list too, so the hosted payment page is named.
    "form-action": [CSP.SELF, *env.words("CHECKOUT_ORIGINS", "https://checkout.stripe.com")],
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
if ALLAUTH_TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-session" if IS_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

# --- words and time
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]

# --- mail. MAIL_BACKEND may be any Django or Anymail backend; without one the demo reads mail on the desk.
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "studio@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
_MAIL_BACKEND = env.text(
    "MAIL_BACKEND",
    "studio.outbox.DeskBackend" if DEMO else "django.core.mail.backends.smtp.EmailBackend",
)
MAILERS: dict[str, dict[str, object]] = {"default": {"BACKEND": _MAIL_BACKEND}}
if _MAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend":
    MAILERS["default"]["OPTIONS"] = {
        "host": env.text("SMTP_HOST", "localhost"),
        "port": env.number("SMTP_PORT", 25),
        "username": env.text("SMTP_USER", ""),
        "password": env.text("SMTP_PASSWORD", ""),
        "use_tls": env.flag("SMTP_TLS"),
        "timeout": 20,
    }

# --- texts. Without an address they wait on the desk to be sent by hand.
SMS_URL = env.text("SMS_URL", "")
SMS_TOKEN = env.text("SMS_TOKEN", "")
SMS_FROM = env.text("SMS_FROM", "")
SMS_FIELDS = env.words("SMS_FIELDS", "")  # e.g. text=body,reference=external_id
SMS_BACKEND = env.text("SMS_BACKEND", "studio.texts.HttpsProvider" if SMS_URL else "")

# --- money
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET", "")
STRIPE_API_BASE = env.text("STRIPE_API_BASE", "")  # blank: Stripe itself
STRIPE_LIVE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))

# --- background work. One number decides every limit: the longest a task may run.
TASK_HARD_LIMIT = env.number("TASK_HARD_LIMIT", 600)
CELERY_BROKER_URL = env.text("REDIS_URL", "redis://localhost:6379/0")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": TASK_HARD_LIMIT * 3,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
}
CELERY_TASK_IGNORE_RESULT = True  # the row is the truth; a result backend once blocked a request for 19 s
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "quick"
CELERY_TASK_ROUTES = ["studio.background.route"]
CELERY_TASK_TIME_LIMIT = TASK_HARD_LIMIT
CELERY_TASK_SOFT_TIME_LIMIT = int(TASK_HARD_LIMIT * 0.9)
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 100
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 1_500_000  # KiB
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
SWEEP_SECONDS = env.number("SWEEP_SECONDS", 60)
CELERY_BEAT_SCHEDULE = {
    name: {"task": name, "schedule": every(seconds), "options": {"expires": seconds * 2}}
    for name, seconds in {
        "studio.tasks.sweep": SWEEP_SECONDS,
        "bookings.tasks.sweep": SWEEP_SECONDS,
        "bookings.tasks.reconcile": 5 * SWEEP_SECONDS,
        "bookings.tasks.fetch_calendars": SWEEP_SECONDS,
        "galleries.tasks.sweep": SWEEP_SECONDS,
        "galleries.tasks.sweep_deadlines": SWEEP_SECONDS,
        "galleries.tasks.check_originals": 60 * SWEEP_SECONDS,
        "galleries.tasks.put_away": 60 * SWEEP_SECONDS,
    }.items()
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA / "beat-schedule")

# Calendars elsewhere are read by https; http only where the studio runs one in its own house and says so.
CALENDAR_ALLOWS_HTTP = env.flag("CALENDAR_ALLOWS_HTTP")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "studio.discreet.Line", "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {"pyvips": {"level": "WARNING"}},  # it tells of every thread pool
}
