"""What open holds reserve of what quotas count.

A hold is open while it has no ending and hasn't expired, by the database's clock. When one is used, its
ending and its event are committed together; whoever reads first what is held and then what is used may see
the same amount twice, and never not at all. `settled` reads again where that may have happened.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from django.db import connection

from .recorded import Place

READINGS = (
    3  # then the amount that is seen twice stays so: for a moment too much is refused, never too little
)
_ZERO = Decimal(0)
T = TypeVar("T")

# Indexes: hold_share_by_project, hold_share_by_payer.
_HELD = """
    WITH asked AS MATERIALIZED (
        SELECT *
          FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
               AS a (n, metric_id, project_id, start_at, end_at)
    )
    SELECT a.n, sum(s.amount)
      FROM asked a
     CROSS JOIN LATERAL (
           SELECT s.hold_id, s.amount, s.occurred_at
             FROM quotas_quotaholdshare s
            WHERE s.metric_id = a.metric_id
              AND s.project_id = a.project_id
              AND s.expires_at > (SELECT clock_timestamp())
           UNION ALL
           SELECT s.hold_id, s.amount, s.occurred_at
             FROM quotas_quotaholdshare s
            WHERE s.metric_id = a.metric_id
              AND s.billing_scope_id = a.project_id
              AND s.project_id <> a.project_id
              AND s.expires_at > (SELECT clock_timestamp())
           ) s
     WHERE s.occurred_at >= a.start_at
       AND s.occurred_at < a.end_at
       AND s.hold_id IS DISTINCT FROM %s
       AND NOT EXISTS (SELECT FROM quotas_quotaholdending e WHERE e.hold_id = s.hold_id)
     GROUP BY a.n
"""


def held_of(places: Sequence[Place], *, besides: int | None = None) -> dict[Place, Decimal]:
    """What is reserved of each place now; places of which nothing is are absent. One statement.

    `besides`: the id of a hold that isn't counted, because it is what is being judged.
    """
    if not places:
        return {}
    numbers = list(range(len(places)))
    starts = ["-infinity" if p.period.start is None else p.period.start.isoformat() for p in places]
    ends = ["infinity" if p.period.end is None else p.period.end.isoformat() for p in places]
    with connection.cursor() as cursor:
        cursor.execute(
            _HELD,
            [
                numbers,
                [place.meaning.metric_id for place in places],
                [place.project_id for place in places],
                starts,
                ends,
                besides,
            ],
        )
        return {places[number]: amount for number, amount in cursor.fetchall()}


def settled(
    places: Sequence[Place], read: Callable[[], T], *, besides: int | None = None
) -> tuple[T, dict[Place, Decimal]]:
    """What `read` says is used, and what is held beside it: no hold in both, and none in neither."""
    held = held_of(places, besides=besides)
    used = read()
    for _ in range(READINGS):
        if not held:
            break
        again = held_of(places, besides=besides)
        if again == held:
            break
        held, used = again, read()
    return used, held
