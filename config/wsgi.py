"""The web process: `gunicorn config.wsgi`."""

import gc
import os

import django
from django.core.handlers.wsgi import WSGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config.short_way import ShortWay  # noqa: E402 (it asks for settings)


class Handler(ShortWay, WSGIHandler):
    """What gunicorn calls."""


application = Handler()

# A batch of 10,000 events makes some 300,000 short-lived objects that reference counting frees by itself.
# With the default threshold of 700 the cycle collector would walk them hundreds of times: a third of the CPU.
gc.collect()
gc.freeze()
gc.set_threshold(100_000, 20, 50)
