"""What worker and beat would do, done at once and in this process: tests wait for nobody."""

from billing import tasks as billing_tasks
from metering import tasks as metering_tasks
from quotas import tasks as quotas_tasks


def work_off() -> None:
    """Merge what was recorded, look after limits, and carry out what was asked for on pages."""
    metering_tasks.import_files()
    metering_tasks.roll_up()
    quotas_tasks.evaluate_thresholds()
    quotas_tasks.post_alerts()
    billing_tasks.run_requested()
    billing_tasks.send_invoices()
    metering_tasks.run_exports()
    metering_tasks.send_mail()
