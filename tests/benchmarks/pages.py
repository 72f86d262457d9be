"""Every page of the admin on a large Meterbook: server time and statements of each.

    python tests/benchmarks/pages.py --keep DIR             5,000,000 events: minutes to fill, the first time
    python tests/benchmarks/pages.py --fraction 0.01        a hundredth of it
    python tests/benchmarks/pages.py --keep DIR --only invoice

A page is asked three times by the test client; the median counts, which includes rendering. The baseline is a
page without any content. The exit status is the number of pages over the limits, at most 100.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from city import Size, build
from house import a_database

MOST_STATEMENTS = 20
MOST_MILLISECONDS = 300
ROUNDS = 3
# Pages that are not pages: files, answers to scripts, and what ends a session.
LEFT_OUT = {"jsi18n", "logout", "view_on_site", "autocomplete"}


@dataclass(frozen=True)
class Measured:
    url: str
    status: int
    milliseconds: float
    statements: int
    size: int

    @property
    def is_over(self) -> bool:
        return self.milliseconds > MOST_MILLISECONDS or self.statements > MOST_STATEMENTS


def addresses() -> Iterator[str]:
    """Each page of the admin, of the first and the last row where it is about one; lists searched too."""
    from django.contrib import admin
    from django.urls import NoReverseMatch, reverse

    yield reverse("admin:index")
    for model, model_admin in admin.site._registry.items():
        newest = model._default_manager.order_by("-pk").first()
        oldest = model._default_manager.order_by("pk").first()
        for pattern in model_admin.get_urls():
            if not pattern.name or pattern.name in LEFT_OUT:
                continue
            names = list(pattern.pattern.converters)
            if not names:
                with contextlib.suppress(NoReverseMatch):
                    url = reverse(f"admin:{pattern.name}")
                    yield url
                    if url.endswith(f"/{model._meta.model_name}/"):
                        yield f"{url}?q=house"
                        yield f"{url}?q=12"
            elif len(names) == 1:
                for row in {newest, oldest} - {None}:
                    with contextlib.suppress(NoReverseMatch):
                        yield reverse(f"admin:{pattern.name}", kwargs={names[0]: row.pk})


def measured(client: Any, url: str) -> Measured:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    times, statements = [], 0
    for _round in range(ROUNDS):
        began = time.perf_counter()
        with CaptureQueriesContext(connection) as captured:
            response = client.get(url)
            content = b"".join(response) if response.streaming else response.content
        times.append((time.perf_counter() - began) * 1000)
        statements = len(captured)
        if times[-1] > 20 * MOST_MILLISECONDS:
            break
    return Measured(url, response.status_code, statistics.median(times), statements, len(content))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--keep", type=Path, help="where the database stays for the next run")
    arguments.add_argument("--fraction", type=float, default=1.0, help="of the full size")
    arguments.add_argument("--only", default="", help="pages whose address contains this")
    options = arguments.parse_args()
    with a_database(options.keep):
        from django.contrib.auth.models import User
        from django.test import Client

        if not User.objects.filter(username="walker").exists():
            began = time.monotonic()
            build(Size().scaled(options.fraction))
            User.objects.create_superuser("walker", password=None)
            print(f"Filled in {time.monotonic() - began:.0f} s.", file=sys.stderr)
        client = Client(raise_request_exception=False, headers={"Host": "localhost"})
        client.force_login(User.objects.get(username="walker"))
        found = []
        for url in dict.fromkeys(addresses()):
            if options.only in url:
                one = measured(client, url)
                found.append(one)
                mark = "OVER" if one.is_over else ""
                print(
                    f"{one.status} {one.milliseconds:7.0f} ms {one.statements:4} statements "
                    f"{one.size / 1000:7.0f} kB  {one.url} {mark}",
                    flush=True,
                )
        over = [one for one in found if one.is_over]
        pages = [one for one in found if one.status == 200]
        print(
            f"{len(found)} addresses, {len(pages)} pages; median "
            f"{statistics.median(one.milliseconds for one in pages):.0f} ms, slowest "
            f"{max(one.milliseconds for one in pages):.0f} ms; {len(over)} over {MOST_MILLISECONDS} ms or "
            f"{MOST_STATEMENTS} statements; {sum(one.status >= 500 for one in found)} failed."
        )
        return min(len(over), 100)


if __name__ == "__main__":
    sys.exit(main())
