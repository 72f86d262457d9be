"""Every page of the admin on a large Meterbook: server time and statements of each.

    python tests/benchmarks/pages.py --keep DIR             5,000,000 events: minutes to fill, the first time
    python tests/benchmarks/pages.py --fraction 0.01        a hundredth of it
    python tests/benchmarks/pages.py --keep DIR --only invoice --statements

A page is asked three times by the test client, and the median counts, rendering included: wall time,
processor time of this process, and time spent waiting for statements. Of a file that is sent as it is read,
the limits hold until its first rows are there; the whole is told beside it. The baseline is the page of a new
password, which has hardly any content; on a machine that others use, quote ratios to it. The exit status is
the number of pages over the limits, at most 100.
"""

import argparse
import contextlib
import datetime as dt
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from city import Size, build
from house import a_database

MOST_STATEMENTS = 20
MOST_MILLISECONDS = 300
# Bookkeeping of transactions, which is no question.
NOT_COUNTED = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "SET TRANSACTION")
ROUNDS = 3
BASELINE = "/admin/password_change/"
# Pages that are not pages: files, answers to scripts, and what ends a session.
LEFT_OUT = {"jsi18n", "logout", "view_on_site", "autocomplete"}


@dataclass(frozen=True)
class Measured:
    url: str
    status: int
    milliseconds: float
    in_python: float
    in_statements: float
    statements: int
    size: int
    whole_file: float | None  # milliseconds until its end

    @property
    def is_over(self) -> bool:
        return self.milliseconds > MOST_MILLISECONDS or self.statements > MOST_STATEMENTS

    def __str__(self) -> str:
        return (
            f"{self.status} {self.milliseconds:7.0f} ms {self.in_python:6.0f} python "
            f"{self.in_statements:6.0f} waiting {self.statements:4} statements "
            f"{self.size / 1000:7.0f} kB  {self.url}"
        ) + ("" if self.whole_file is None else f" (the whole file {self.whole_file:.0f} ms)")


@dataclass
class Statements:
    """What is asked of the database while it wraps a connection's statements."""

    seconds: float = 0
    asked: Counter[str] = field(default_factory=Counter)

    def __call__(self, execute: Callable[..., Any], sql: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, *arguments)
        finally:
            self.seconds += time.perf_counter() - began
            text = sql if isinstance(sql, str) else sql.as_string(None)
            if not text.startswith(NOT_COUNTED):
                self.asked[text] += 1


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


def narrowed(client: Any, url: str) -> Iterator[str]:
    """A list by the first choice of each of its filters; by days, from the first of this month on."""
    response = client.get(url)
    changelist = (getattr(response, "context_data", None) or {}).get("cl")
    if changelist is None:
        return
    for spec in changelist.filter_specs:
        names = [name for name in spec.expected_parameters() if name]
        related = getattr(getattr(spec, "field", None), "related_model", None)
        offered = list(getattr(spec, "lookup_choices", None) or ())
        choices = getattr(getattr(spec, "field", None), "flatchoices", ())
        if any(name.endswith("_from") for name in names):
            yield f"{url}?{urlencode({names[0]: f'{dt.datetime.now(dt.UTC):%Y-%m}-01'})}"
        elif related is not None:
            row = related._default_manager.order_by("pk").last()
            if row is not None:
                yield f"{url}?{urlencode({names[0]: row.pk})}"
        elif offered or choices:
            yield f"{url}?{urlencode({names[0]: (offered or choices)[0][0]})}"


def measured(client: Any, url: str, *, tells_statements: bool = False) -> Measured:
    from django.db import connection

    rounds = []
    for _round in range(ROUNDS):
        statements = Statements()
        began, processor_began = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(statements):
            response = client.get(url)
            blocks = iter(response) if response.streaming else iter([response.content])
            first = next(blocks, b"")
            answered = Measured(
                url=url,
                status=response.status_code,
                milliseconds=(time.perf_counter() - began) * 1000,
                in_python=(time.process_time() - processor_began) * 1000,
                in_statements=statements.seconds * 1000,
                statements=statements.asked.total(),
                size=len(first),
                whole_file=None,
            )
            size = len(first) + sum(map(len, blocks))
        until_end = (time.perf_counter() - began) * 1000 if response.streaming else None
        rounds.append(replace(answered, size=size, whole_file=until_end))
        if rounds[-1].milliseconds > 20 * MOST_MILLISECONDS:
            break
    if tells_statements:
        for sql, times in statements.asked.most_common():
            print(f"    {times} x {' '.join(sql.split())[:400]}")
    return sorted(rounds, key=lambda one: one.milliseconds)[len(rounds) // 2]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--keep", type=Path, help="where the database stays for the next run")
    arguments.add_argument("--fraction", type=float, default=1.0, help="of the full size")
    arguments.add_argument("--only", default="", help="pages whose address matches this expression")
    arguments.add_argument(
        "--statements", action="store_true", help="tell what each page asks, and how often"
    )
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
        found = [measured(client, BASELINE)]
        print(f"{found[0]} (baseline)")
        plain = list(dict.fromkeys(addresses()))
        lists = [url for url in plain if f"{url}?q=12" in plain]
        for url in [*plain, *dict.fromkeys(each for one in lists for each in narrowed(client, one))]:
            if re.search(options.only, url):
                one = measured(client, url, tells_statements=options.statements)
                found.append(one)
                print(f"{one} {'OVER' if one.is_over else ''}", flush=True)
        over = [one for one in found if one.is_over]
        pages = [one for one in found if one.status == 200]
        print(
            f"{len(found)} addresses, {len(pages)} pages; median "
            f"{statistics.median(one.milliseconds for one in pages):.0f} ms, slowest "
            f"{max(one.milliseconds for one in pages):.0f} ms, baseline {found[0].milliseconds:.0f} ms; "
            f"{len(over)} over {MOST_MILLISECONDS} ms or "
            f"{MOST_STATEMENTS} statements; {sum(one.status >= 500 for one in found)} failed."
        )
        return min(len(over), 100)


if __name__ == "__main__":
    sys.exit(main())
