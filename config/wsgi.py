"""The web process: `gunicorn config.wsgi`."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

# A batch of 10,000 events makes some 300,000 short-lived objects that reference counting frees by itself. With
# the default threshold of 700 the cycle collector would walk them hundreds of times: a third of the CPU.
gc.collect()
gc.freeze()
gc.set_threshold(100_000, 20, 50)
