"""A row of the ledger as one text that means the same for ever: what seals are made of. Pure.

Never `row::text`, which changes with the session's time zone, DateStyle, bytea_output and with the order of
columns. Here nothing depends on a setting or on the server's version:

- numbers and ids by their digits; quantities without trailing zeros; a dash where there is none;
- instants as whole microseconds since 1970, UTC (as numeric: 'infinity' is a difference then, not an error);
- texts behind their length in characters, so that no two different rows read the same;
- labels as PostgreSQL writes jsonb: keys in its own fixed order, each number as it is stored. A dump carries
  the very same text, so a restored row has the same digest;
- the producer's digest in hexadecimal.
"""

LAYOUT = "mbr1"  # another column or another spelling is another layout


def _text(column: str) -> str:
    return f"char_length({column}) || ':' || {column}"


def _optional(column: str) -> str:
    return f"COALESCE({column}::text, '-')"


def _microseconds(column: str) -> str:
    return f"trim_scale(extract(epoch FROM {column}) * 1000000)"


def canonical_sql(row: str) -> str:
    """The text, of the ledger's row called `row` in a statement."""
    parts = (
        f"'{LAYOUT}'",
        f"{row}.id",
        f"{row}.project_id",
        f"{row}.billing_scope_id",
        _optional(f"{row}.surface_id"),
        _text(f"{row}.source"),
        _text(f"{row}.event_id"),
        _text(f"{row}.event_name"),
        _text(f"{row}.subject_type"),
        _text(f"{row}.subject_id"),
        _optional(f"trim_scale({row}.quantity)"),
        _text(f"{row}.labels::text"),
        _microseconds(f"{row}.occurred_at"),
        _microseconds(f"{row}.recorded_at"),
        _text(f"{row}.kind"),
        _optional(f"{row}.voids"),
        f"encode({row}.digest, 'hex')",
    )
    return f"concat_ws('|', {', '.join(parts)})"


def row_digest_sql(row: str) -> str:
    """SHA-256 of the text, as bytea."""
    return f"sha256(convert_to({canonical_sql(row)}, 'UTF8'))"
