"""Whether documents are numbered without gaps: each series holds exactly the numbers that it has given."""

from typing import Any

from metering.verifying.verification_findings import Breach, Outcome, counted
from metering.verifying.verification_rollups import one_snapshot

from .proof_findings import outcome, rows_of

# Each run of numbers that nobody has, between those that are there and up to the last one given.
# Reads: billing_invoice by its unique constraint number_given_once.
_GAPS = """
    SELECT kind, last_number, first, last
      FROM (
            SELECT s.kind, s.last_number,
                   COALESCE(lag(n.sequence) OVER of_series, 0) + 1 AS first, n.sequence - 1 AS last
              FROM billing_numberseries s
              JOIN (
                    SELECT series_id, sequence FROM billing_invoice WHERE series_id IS NOT NULL
                    UNION
                    SELECT id, last_number + 1 FROM billing_numberseries
                   ) n ON n.series_id = s.id
            WINDOW of_series AS (PARTITION BY s.id ORDER BY n.sequence)
           ) steps
     WHERE last >= first
     ORDER BY kind, first
"""
# Whatever is wrong with the number of a single document.
_WRONG = """
    SELECT i.id, i.kind, i.number, i.sequence, s.kind AS series_kind, s.last_number, is_twice,
           i.issued_at IS NOT NULL AS is_issued
      FROM (
            SELECT *, count(*) OVER (PARTITION BY series_id, sequence) > 1 AND sequence IS NOT NULL
                      OR count(*) OVER (PARTITION BY number) > 1 AND number IS NOT NULL AS is_twice
              FROM billing_invoice
           ) i
      LEFT JOIN billing_numberseries s ON s.id = i.series_id
     WHERE (i.issued_at IS NULL) <> (i.number IS NULL)
        OR (i.issued_at IS NULL) <> (i.sequence IS NULL)
        OR (i.issued_at IS NULL) <> (s.id IS NULL)
        OR is_twice
        OR s.kind <> i.kind
        OR right(i.number, length(i.sequence::text)) <> i.sequence::text
        OR i.sequence > s.last_number
        OR i.sequence < 1
     ORDER BY i.id
"""
_COUNT = "SELECT count(*) AS count FROM billing_invoice WHERE issued_at IS NOT NULL"


def number_outcome(*, limit: int) -> Outcome:
    """Numbers from 1 to the last one of each series, each once, each on a document of the series' kind."""
    with one_snapshot():
        gaps, wrong, [numbered] = rows_of(_GAPS), rows_of(_WRONG), rows_of(_COUNT)
    breaches = [
        Breach(
            "number_missing",
            f"Of the {_words(gap['kind'])}, of which {gap['last_number']:,} were numbered, "
            + (
                f"number {gap['first']:,} is missing."
                if gap["first"] == gap["last"]
                else f"numbers {gap['first']:,} to {gap['last']:,} are missing."
            ),
        )
        for gap in gaps
    ]
    breaches += [_wrong(row) for row in wrong]
    return outcome(counted(numbered["count"], "issued document"), breaches, limit=limit)


def _wrong(row: dict[str, Any]) -> Breach:
    place = f"Document {row['id']} ({row['number'] or 'without a number'})"
    if not row["is_issued"]:
        return Breach("number_on_draft", f"{place} has a number and isn't issued.")
    if row["number"] is None or row["sequence"] is None or row["series_kind"] is None:
        return Breach("issued_without_number", f"{place} is issued without a number of a series.")
    if row["is_twice"]:
        return Breach("number_twice", f"{place}: another document has this number.")
    if row["series_kind"] != row["kind"]:
        return Breach(
            "number_of_another_series",
            f"{place} is one of the {_words(row['kind'])}, its number one of the"
            f" {_words(row['series_kind'])}.",
        )
    if not 1 <= row["sequence"] <= row["last_number"]:
        return Breach(
            "number_never_given",
            f"{place} is number {row['sequence']:,} of its series, which has given 1 to"
            f" {row['last_number']:,}.",
        )
    return Breach("number_text_differs", f"{place} is number {row['sequence']:,} of its series.")


def _words(kind: str) -> str:
    return "credit notes" if kind == "credit_note" else "invoices"
