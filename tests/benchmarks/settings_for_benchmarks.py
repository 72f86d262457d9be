"""The project's settings with one more route: a view that does nothing."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "urls_for_benchmarks"
