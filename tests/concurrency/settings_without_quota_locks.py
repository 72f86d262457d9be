"""The project's settings with an admission policy that takes no locks."""

from config.settings import *  # noqa: F403

METERING_ADMISSION = "tests.concurrency.unguarded.WithoutLocks"
