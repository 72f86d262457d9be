"""Every setting of Meterbook. Each environment variable is read once, here; README.md has the table."""

import datetime as dt
from pathlib import Path

import environ

from config.admin_theme import UNFOLD  # noqa: F401 (a setting)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()

# A running quickstart leaves its addresses here, so that `manage.py roll_up` and friends find it without
# exporting anything. Real deployments set the variables themselves, and then this file is not consulted.
if "DATABASE_URL" not in env.ENVIRON and (VAR_DIR / "quickstart.env").is_file():
    env.read_env(VAR_DIR / "quickstart.env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="insecure-development-key-set-SECRET_KEY-in-production")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000")

# --- Database -------------------------------------------------------------------------------------------
# DATABASE_URL is the application's role: it may INSERT into and SELECT from the ledger, nothing else.
# OWNER_DATABASE_URL owns the tables; manage.py asks for it (METERBOOK_AS_OWNER) for migrate and maintenance.
AS_OWNER = env.bool("METERBOOK_AS_OWNER", default=False)
_DEFAULT_DATABASE_URL = "postgres://meterbook@127.0.0.1:5432/meterbook"
DATABASE_URL = env.str("DATABASE_URL", default=_DEFAULT_DATABASE_URL)
OWNER_DATABASE_URL = env.str("OWNER_DATABASE_URL", default=DATABASE_URL)
DATABASES = {
    "default": {
        **env.db_url_config(OWNER_DATABASE_URL if AS_OWNER else DATABASE_URL),
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=600),
        "CONN_HEALTH_CHECKS": True,
    }
}
# The database role that grants are given to after each migrate.
APPLICATION_ROLE = env.str("APPLICATION_ROLE", default="meterbook_app")
# Seconds that a statement may take which answers a question about usage, of the API or a page. 0: any time.
USAGE_READ_TIMEOUT = env.int("USAGE_READ_TIMEOUT", default=30)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Applications ---------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_celery_beat",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "pghistory",
    "config.staff.axes_app.AxesConfig",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "config",
    "metering",
    "quotas",
    "billing",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.response_headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "config.middleware.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.staff.preferences_middleware.PreferencesMiddleware",
    "config.accountability.AccountabilityMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.UnavailableMiddleware",
    "config.staff.second_step_middleware.SecondStepMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
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
            ],
        },
    }
]
# Axes comes first: it looks at whoever signs in, and at nothing else.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "config.roles.backends.NotingBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# --- Sign-in --------------------------------------------------------------------------------------------
# So many failures of one name from one address lock it there for so long; an address under any names has ten
# times as many (config/staff/lockout.py).
SIGN_IN_FAILURES = max(1, env.int("SIGN_IN_FAILURES", default=5))
SIGN_IN_LOCK_MINUTES = max(1, env.int("SIGN_IN_LOCK_MINUTES", default=15))
# Whom those who are locked out may ask: a name, a mail address, a telephone number. Empty: an administrator.
SIGN_IN_CONTACT = env.str("SIGN_IN_CONTACT", default="")
# How long the account of sign-ins and failures is kept.
SIGN_IN_KEPT_DAYS = env.int("SIGN_IN_KEPT_DAYS", default=90)
# How many proxies stand before this server and add to X-Forwarded-For. 0: the header is not believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
# Whether all staff need a one-time password; those who have none yet are led to setting it up.
REQUIRE_ONE_TIME_PASSWORDS = env.bool("REQUIRE_ONE_TIME_PASSWORDS", default=False)
AXES_HANDLER = "config.staff.lockout.HouseHandler"
AXES_LOCKOUT_CALLABLE = "config.staff.lockout.locked_page"
AXES_CLIENT_IP_CALLABLE = "config.staff.client_address.client_address"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "ip_address"]
AXES_FAILURE_LIMIT = SIGN_IN_FAILURES
AXES_COOLOFF_TIME = dt.timedelta(minutes=SIGN_IN_LOCK_MINUTES)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # who keeps trying doesn't keep the owner out for ever
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code", "csrfmiddlewaretoken"]
AXES_ENABLE_ADMIN = False  # its tables stand on our own pages
AXES_VERBOSE = False
OTP_TOTP_ISSUER = "Meterbook"

# --- Seams ----------------------------------------------------------------------------------------------
METERING_ADMISSION = "quotas.admission.QuotaAdmission"
# Who is told what a tick merged, in its transaction and after it (metering/rolling_up/tick_observers.py).
METERING_TICK_OBSERVERS = [
    "quotas.evaluation.ThresholdEvaluation",
    "metering.announcing.aggregated.TickAnnouncer",
    "quotas.bus.TickNews",
]
# Triggers that apps guard rows of theirs with: `check`, `verify` and `doctor --fix-guards` know them.
ROW_GUARDS = ["billing.guards.CATALOGUE_GUARDS", "billing.guards.DOCUMENT_GUARDS"]
# What `verify` checks, in this order. An app adds a check of its own by its dotted path.
VERIFICATION_CHECKS = [
    "metering.verifying.verification_checks.GUARDS",
    "metering.verifying.verification_checks.SEALS",
    "metering.verifying.verification_checks.POSITIONS",
    "metering.verifying.verification_checks.VOIDS",
    "metering.verifying.verification_checks.PAYERS",
    "metering.verifying.verification_checks.PENDING",
    "metering.verifying.verification_checks.ROLLUPS",
    "billing.proving.billing_checks.INVOICE_LINES",
    "billing.proving.billing_checks.INVOICE_TOTALS",
    "billing.proving.billing_checks.INVOICE_NUMBERS",
    "billing.proving.billing_checks.BILLED_PERIODS",
    "billing.proving.billing_checks.CREDITS",
    "billing.proving.billing_checks.UNBILLED",
]

# What can be exported to a file, in this order. An app adds a kind of its own by its dotted path.
EXPORT_KINDS = [
    "billing.reporting.invoice_register.INVOICE_REGISTER",
    "billing.reporting.invoice_lines_export.INVOICE_LINES",
    "billing.reporting.credit_notes.CREDIT_NOTES",
    "billing.reporting.journal.JOURNAL",
    "billing.reporting.usage_statement.USAGE_STATEMENT",
    "metering.exporting.usage_kinds.USAGE_EVENTS",
    "metering.exporting.usage_kinds.USAGE_ROLLUPS",
]
# Kinds that come in numbers, "family:member", and are asked for on pages of their own: callables that take
# the member.
EXPORT_KIND_FAMILIES = {"list": "metering.admin.list_exports.list_kind"}

# Cards that apps add to pages of the admin, in this order: callables of metering/admin/panels.py, by page.
ADMIN_PANELS: dict[str, list[str]] = {
    "home": ["billing.admin.home_revenue.revenue_panel"],
    "project": [
        "quotas.admin.project_panels.limits_panel",
        "quotas.admin.project_panels.thresholds_panel",
        "quotas.admin.project_panels.alerts_panel",
        "billing.admin.project_panels.account_panel",
        "billing.admin.project_panels.invoices_panel",
    ],
    "metric": [
        "billing.admin.metric_panels.prices_panel",
        "quotas.admin.metric_panels.limits_panel",
        "quotas.admin.metric_panels.thresholds_panel",
    ],
}

# Who tells Home what needs somebody today, in this order: callables of metering/admin/matters.py.
ADMIN_MATTERS = [
    "metering.admin.ledger_matters.ledger_matters",
    "quotas.admin.matters.limit_matters",
    "billing.admin.matters.billing_matters",
]
# What else follows from a rule of attribution, said before it is made: callables like that of
# billing/admin/consequences.py, which take the request and the rule as it will be.
ATTRIBUTION_CONSEQUENCES = ["billing.admin.consequences.of_payer"]
# What "Put back as it was" in the history can do, by table: instances of metering/admin/undoing.py.
HISTORY_UNDO = {
    "metering.project": "metering.admin.undos.PROJECTS",
    "metering.metricdefinition": "metering.admin.undos.METRICS",
    "metering.webhookendpoint": "metering.admin.undos.WEBHOOK_ENDPOINTS",
    "metering.surfaceinstallation": "metering.admin.undos.SURFACES",
    "quotas.projectquota": "quotas.admin.undos.QUOTAS",
    "quotas.usagethreshold": "quotas.admin.undos.THRESHOLDS",
    "billing.billingaccount": "billing.admin.undos.ACCOUNTS",
    "billing.seller": "billing.admin.undos.SELLERS",
    "billing.plan": "billing.admin.undos.PLANS",
}
# How the history words values that a table means something by: callables like those of
# billing/admin/history_words.py, which take the field's name, its value and the row.
HISTORY_WORDS = {
    "billing.billingaccount": "billing.admin.history_words.of_account",
    "billing.price": "billing.admin.history_words.of_price",
}
# The ways from nothing to first results, on Home until they are walked: metering/admin/first_steps.py.
ADMIN_FIRST_STEPS = [
    "metering.admin.first_steps.measuring_steps",
    "billing.admin.first_steps.billing_steps",
]

# What "search everywhere" in the admin looks for, in this order: callables of metering/admin/searching.py.
ADMIN_SEARCHES = [
    "metering.admin.searches.PROJECTS",
    "billing.admin.searches.CUSTOMERS",
    "billing.admin.searches.DOCUMENTS",
    "billing.admin.searches.PAYMENTS",
    "metering.admin.searches.EVENTS",
    "metering.admin.searches.METRICS",
    "billing.admin.searches.PLANS",
    "metering.admin.searches.API_KEYS",
    "metering.admin.searches.WEBHOOK_ENDPOINTS",
    "quotas.admin.searches.HOLDS",
    "quotas.admin.searches.DECISIONS",
    "metering.admin.searches.EXPORTS",
    "metering.admin.searches.IMPORTS",
    "config.staff_search.STAFF",
    "metering.admin.searches.PAGES",
]

# What each role of staff may do, area by area, in the order of the page of roles. An app adds areas.
STAFF_ROLES = [
    "metering.roles.AREAS",
    "quotas.roles.AREAS",
    "billing.roles.AREAS",
    "config.roles.framework.AREAS",
]

# Whoever makes a key that bills needs all of these: with it, they could do all that these let somebody do.
RIGHTS_TO_LET_KEYS_BILL = [
    "billing.change_plan",
    "billing.change_billingaccount",
    "billing.change_subscription",
    "billing.add_creditgrant",
    "billing.issue_invoice",
    "billing.void_invoice",
    "billing.approve_invoice",
    "billing.decide_periodcorrection",
    "billing.loosen_approval",
]

# --- Monitoring -----------------------------------------------------------------------------------------
# Who may read /metrics: whoever sends this as a bearer token. Empty: only this machine itself.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# What stands there: callables that yield readings (metering/telemetry.py).
TELEMETRY = ["metering.telemetry.readings", "quotas.telemetry.readings", "billing.telemetry.readings"]

# --- Exports --------------------------------------------------------------------------------------------
# How long a file stays that was made in the background.
EXPORT_KEPT_DAYS = env.int("EXPORT_KEPT_DAYS", default=7)
# Account codes of the bookkeeping, as JSON: {"receivables": "1400", "tax_payable:VAT 19": "3806"}. What isn't
# named keeps its default (billing/reporting/ledger_accounts.py).
JOURNAL_ACCOUNTS = env.json("JOURNAL_ACCOUNTS", default={})

# --- Quotas --------------------------------------------------------------------------------------------
# Seconds for which a process believes what it has read where quotas count by rollups. The bus makes it forget
# sooner; by the ledger nothing is remembered. QUOTA_USAGE_TTL=0: read anew each time.
QUOTA_DEFINITIONS_TTL = env.float("QUOTA_DEFINITIONS_TTL", default=30)
QUOTA_USAGE_TTL = env.float("QUOTA_USAGE_TTL", default=15)
# How long the account of denials and warnings is kept.
QUOTA_DECISIONS_KEPT_DAYS = env.int("QUOTA_DECISIONS_KEPT_DAYS", default=90)

# --- Seals ----------------------------------------------------------------------------------------------
# Keys that sign seals of the ledger, "number:secret,number:secret"; the highest number signs, all verify.
# They are never in the database, so that nobody who has only that can make a seal.
SEAL_KEYS = {
    int(number): secret
    for number, _, secret in (
        item.partition(":") for item in env.list("SEAL_KEYS", default=[f"1:{SECRET_KEY}"])
    )
}
# Who gets the head of the chain by mail each day, outside the reach of those who run the database.
SEAL_HEAD_RECIPIENTS = env.list("SEAL_HEAD_RECIPIENTS", default=[])

# --- Webhooks and domain events -------------------------------------------------------------------------
# Keys from which signing secrets are made, "number:secret,number:secret"; the highest makes new ones.
WEBHOOK_KEYS = {
    int(number): secret
    for number, _, secret in (
        item.partition(":") for item in env.list("WEBHOOK_KEYS", default=[f"1:{SECRET_KEY}"])
    )
}
WEBHOOK_PORTS = [int(port) for port in env.list("WEBHOOK_PORTS", default=["80", "443", "8443"])]
# For development: receivers without TLS, and on this machine at any port.
WEBHOOK_ALLOW_HTTP = env.bool("WEBHOOK_ALLOW_HTTP", default=False)
WEBHOOK_ALLOW_LOOPBACK = env.bool("WEBHOOK_ALLOW_LOOPBACK", default=False)
# An endpoint to which nothing was delivered for so long is switched off.
WEBHOOK_DISABLE_AFTER_DAYS = env.int("WEBHOOK_DISABLE_AFTER_DAYS", default=5)
# Domain events older than that are removed with their deliveries, once those have arrived.
DOMAIN_EVENT_DAYS = env.int("DOMAIN_EVENT_DAYS", default=30)

# --- Mail -----------------------------------------------------------------------------------------------
EMAIL_CONFIG = env.email_url_config(env.str("EMAIL_URL", default="") or "consolemail://")  # empty is unset
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="meterbook@localhost")

# --- Alerts ---------------------------------------------------------------------------------------------
# Mails about thresholds are collected this long from the first on; who is told of more than so many at once
# gets one mail about all of them.
ALERT_COLLECTING_SECONDS = env.float("ALERT_COLLECTING_SECONDS", default=10.0)
ALERT_DIGEST_ABOVE = env.int("ALERT_DIGEST_ABOVE", default=3)

# --- Time and language ----------------------------------------------------------------------------------
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]

# --- API ------------------------------------------------------------------------------------------------
# Peppers for hashing API keys, "number:secret,number:secret"; the highest number signs new keys, all verify.
API_KEY_PEPPERS = {
    int(number): secret
    for number, _, secret in (
        item.partition(":") for item in env.list("API_KEY_PEPPERS", default=[f"1:{SECRET_KEY}"])
    )
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "metering.api.authentication.ApiKeyAuthentication",
        "metering.api.authentication.StaffSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["metering.api.authentication.HasKeyPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["metering.api.parsing.ExactJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "metering.api.pagination.KeyCursorPagination",
    "NON_FIELD_ERRORS_KEY": "detail",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.problems.problem_response",
    "PAGE_SIZE": 100,
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Meterbook",
    "DESCRIPTION": (
        "Usage metering, quotas and billing on one append-only ledger.\n\n"
        "A request that changes configuration may say why in the header `Change-Reason` (UTF-8, at most "
        "1,000 characters): it is kept in the history, with the key."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    # By default drf-spectacular's own step, which names enumerations; ours comes after it.
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.completing.completed",
    ],
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "filter": True},
    "ENUM_NAME_OVERRIDES": {
        "DueEnum": ["now", "period_end"],
        "VoidOutcomeEnum": ["created", "exists"],
        "InvoiceStatusEnum": "billing.invoicing.standing.Status",
        "InvoiceKindEnum": "billing.models.Invoice.Kind",
        "InvoiceLineKindEnum": "billing.models.InvoiceLine.Kind",
        "CreditGrantKindEnum": "billing.models.CreditGrant.Kind",
        "CreditEntryKindEnum": "billing.models.CreditEntry.Kind",
        "PaymentMethodEnum": "billing.models.Payment.Method",
    },
}

# --- Celery ---------------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}  # above the hard time limit, else jobs double
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Static files, security -----------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(VAR_DIR / "static"))
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 11 * 1024 * 1024  # the API refuses above 10 MB itself, with its own words
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_FAILURE_VIEW = "config.error_pages.stale_form"
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
}
