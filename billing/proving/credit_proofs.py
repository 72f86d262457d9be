"""Whether credit, payments and credit notes balance: what was given, drawn, settled and taken back.

Each proof is one SELECT over append-only rows and issued documents that gives what is wrong: nothing of it is
shared with the verbs that write them.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from metering.verifying.verification_findings import Breach, Outcome, counted
from metering.verifying.verification_rollups import one_snapshot

from .proof_findings import outcome, rows_of, shown

_GRANTS = """
    SELECT g.id, g.currency, g.amount, e.entered, e.entry_count, e.stranger_count, a.currency AS of_account
      FROM billing_creditgrant g
      JOIN billing_billingaccount a ON a.id = g.account_id
      LEFT JOIN (
            SELECT e.grant_id,
                   sum(e.amount) FILTER (WHERE e.kind = 'granted') AS entered,
                   count(*) FILTER (WHERE e.kind = 'granted') AS entry_count,
                   count(*) FILTER (WHERE e.account_id <> g.account_id
                                       OR i.account_id <> g.account_id) AS stranger_count
              FROM billing_creditentry e
              JOIN billing_creditgrant g ON g.id = e.grant_id
              LEFT JOIN billing_invoice i ON i.id = e.invoice_id
             GROUP BY e.grant_id
           ) e ON e.grant_id = g.id
     WHERE e.entry_count IS DISTINCT FROM 1
        OR e.entered <> g.amount
        OR e.stranger_count > 0
        OR a.currency <> g.currency
     ORDER BY g.id
"""
_BALANCES = """
    SELECT DISTINCT ON (grant_id) grant_id, id, balance, currency
      FROM (
            SELECT e.grant_id, e.id, g.currency,
                   sum(e.amount) OVER (PARTITION BY e.grant_id ORDER BY e.id) AS balance
              FROM billing_creditentry e
              JOIN billing_creditgrant g ON g.id = e.grant_id
           ) running
     WHERE balance < 0
     ORDER BY grant_id, id
"""
_DRAWS = """
    SELECT COALESCE(i.number, 'draft ' || i.id) AS name, i.currency, i.credit_drawn, d.drawn, d.returned,
           v.id IS NOT NULL AS is_void, i.issued_at IS NOT NULL AS is_issued
      FROM billing_invoice i
      LEFT JOIN billing_invoice v ON v.credits_id = i.id AND v.origin = 'void' AND v.issued_at IS NOT NULL
      LEFT JOIN (
            SELECT invoice_id, -sum(drawn) AS drawn, sum(returned) AS returned,
                   bool_or(returned <> 0 AND returned <> -drawn) AS is_uneven
              FROM (
                    SELECT invoice_id, grant_id,
                           COALESCE(sum(amount) FILTER (WHERE kind = 'drawn'), 0) AS drawn,
                           COALESCE(sum(amount) FILTER (WHERE kind = 'returned'), 0) AS returned
                      FROM billing_creditentry
                     WHERE invoice_id IS NOT NULL
                     GROUP BY invoice_id, grant_id
                   ) by_grant
             GROUP BY invoice_id
           ) d ON d.invoice_id = i.id
     WHERE CASE WHEN i.issued_at IS NULL THEN d.invoice_id IS NOT NULL
                ELSE COALESCE(d.drawn, 0) <> i.credit_drawn
                  OR COALESCE(d.returned, 0) <> CASE WHEN v.id IS NULL THEN 0 ELSE i.credit_drawn END
                  OR COALESCE(d.is_uneven, FALSE)
           END
     ORDER BY i.id
"""
_CREDIT_NOTES = """
    SELECT n.number AS name, n.currency, -n.total AS credited, COALESCE(p.settled, 0) AS settled,
           COALESCE(g.amount, 0) AS granted,
           CASE WHEN n.origin = 'void' THEN i.credit_drawn ELSE 0 END AS given_back
      FROM billing_invoice n
      LEFT JOIN billing_invoice i ON i.id = n.credits_id
      LEFT JOIN (
            SELECT credit_note_id, sum(amount) AS settled
              FROM billing_payment
             WHERE credit_note_id IS NOT NULL
             GROUP BY credit_note_id
           ) p ON p.credit_note_id = n.id
      LEFT JOIN (
            SELECT credit_note_id, sum(amount) AS amount
              FROM billing_creditgrant
             WHERE credit_note_id IS NOT NULL
             GROUP BY credit_note_id
           ) g ON g.credit_note_id = n.id
     WHERE n.kind = 'credit_note'
       AND n.issued_at IS NOT NULL
       AND greatest(-n.total, 0) <> COALESCE(p.settled, 0) + COALESCE(g.amount, 0)
                                  + CASE WHEN n.origin = 'void' THEN i.credit_drawn ELSE 0 END
     ORDER BY n.id
"""
# In the order in which they were recorded, so that too much is found also where it was taken back later.
_PAYMENTS = """
    SELECT DISTINCT ON (invoice_id) id, name, currency, amount_due, paid, what
      FROM (
            SELECT p.id, p.invoice_id, COALESCE(i.number, 'draft ' || i.id) AS name, i.currency,
                   i.amount_due, p.paid,
                   CASE WHEN i.issued_at IS NULL OR i.kind <> 'invoice' THEN 'payment_of_no_invoice'
                        WHEN p.paid > i.amount_due THEN 'paid_too_much'
                        WHEN p.paid < 0 THEN 'taken_back_too_much'
                        WHEN r.id IS NOT NULL AND (r.invoice_id <> p.invoice_id OR r.amount <> -p.amount)
                             THEN 'payment_taken_back_otherwise'
                        WHEN n.id IS NOT NULL AND (n.credits_id IS DISTINCT FROM p.invoice_id
                                                   OR n.kind <> 'credit_note' OR n.issued_at IS NULL)
                             THEN 'settled_by_another_credit_note'
                   END AS what
              FROM (
                    SELECT *, sum(amount) OVER (PARTITION BY invoice_id ORDER BY id) AS paid
                      FROM billing_payment
                   ) p
              JOIN billing_invoice i ON i.id = p.invoice_id
              LEFT JOIN billing_payment r ON r.id = p.reverses_id
              LEFT JOIN billing_invoice n ON n.id = p.credit_note_id
           ) judged
     WHERE what IS NOT NULL
     ORDER BY invoice_id, id
"""
_VOIDS = """
    SELECT COALESCE(n.number, 'draft ' || n.id) AS name, i.number AS voided, i.currency,
           n.total, i.total AS was,
           i.amount_due - COALESCE(p.paid, 0) AS open_amount,
           count(*) OVER (PARTITION BY i.id) AS note_count,
           l.line_count, l.kept_count, l.foreign_count
      FROM billing_invoice n
      JOIN billing_invoice i ON i.id = n.credits_id
      LEFT JOIN (SELECT invoice_id, sum(amount) AS paid FROM billing_payment GROUP BY invoice_id) p
        ON p.invoice_id = i.id
     CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE l.id IS NOT NULL) AS line_count,
                   count(*) FILTER (WHERE l.id IS NOT NULL AND r.id IS NULL) AS kept_count,
                   count(*) FILTER (WHERE l.id IS NULL) AS foreign_count
              FROM (SELECT id FROM billing_invoiceline WHERE invoice_id = i.id) l
              FULL JOIN (SELECT id, reverses_id FROM billing_invoiceline WHERE invoice_id = n.id) r
                ON r.reverses_id = l.id
           ) l
     WHERE n.origin = 'void'
       AND n.issued_at IS NOT NULL
     ORDER BY n.id
"""
_COUNT = """
    SELECT (SELECT count(*) FROM billing_creditgrant) AS grants,
           (SELECT count(*) FROM billing_payment) AS payments
"""


class _Proof(NamedTuple):
    """`breach` may find nothing wrong with a row after all."""

    statement: str
    breach: Callable[[dict[str, Any]], Breach | None]


def credit_outcome(*, limit: int) -> Outcome:
    """Balances, credit notes and voids settle what they say, and nothing is paid beyond what is due."""
    with one_snapshot():
        found = [(proof, rows_of(proof.statement)) for proof in _PROOFS]
        [count] = rows_of(_COUNT)
    breaches = [breach for proof, rows in found for row in rows if (breach := proof.breach(row))]
    checked = f"{counted(count['grants'], 'credit grant')}, {counted(count['payments'], 'payment')}"
    return outcome(checked, breaches, limit=limit)


def _grant(row: dict[str, Any]) -> Breach:
    place = f"Credit grant {row['id']} of {shown(row['amount'], row['currency'])}"
    if row["currency"] != row["of_account"]:
        return Breach("grant_in_another_currency", f"{place}: its account is in {row['of_account']}.")
    if row["stranger_count"]:
        return Breach("credit_of_another_account", f"{place} has entries of another account.")
    entered = shown(row["entered"], row["currency"])
    return Breach(
        "grant_entered_otherwise", f"{place} was entered {row['entry_count'] or 0} times, with {entered}."
    )


def _balance(row: dict[str, Any]) -> Breach:
    balance = shown(row["balance"], row["currency"])
    return Breach(
        "credit_below_zero", f"Credit grant {row['grant_id']} stood at {balance} after entry {row['id']}."
    )


def _draw(row: dict[str, Any]) -> Breach:
    drawn, returned = (shown(row[name] or Decimal(0), row["currency"]) for name in ("drawn", "returned"))
    stated = shown(row["credit_drawn"], row["currency"])
    if not row["is_issued"]:
        return Breach("draft_draws_credit", f"{row['name']} isn't issued and has drawn {drawn} of credit.")
    if (row["drawn"] or 0) != row["credit_drawn"]:
        return Breach(
            "credit_drawn_differs", f"{row['name']} states {stated} of credit, its entries {drawn}."
        )
    state = "is void" if row["is_void"] else "stands"
    return Breach(
        "credit_returned_differs", f"{row['name']} {state}, drew {drawn} of credit and gave back {returned}."
    )


def _credit_note(row: dict[str, Any]) -> Breach:
    money = {
        name: shown(row[name], row["currency"]) for name in ("credited", "settled", "granted", "given_back")
    }
    return Breach(
        "credit_note_unsettled",
        f"{row['name']} gives back {money['credited']}: {money['settled']} settle an invoice,"
        f" {money['granted']} became credit, {money['given_back']} went back to credit that was drawn.",
    )


def _payment(row: dict[str, Any]) -> Breach:
    paid, due = shown(row["paid"], row["currency"]), shown(row["amount_due"], row["currency"])
    words = {
        "payment_of_no_invoice": "is of a document that nobody can pay.",
        "paid_too_much": f"brings what is settled to {paid}; due are {due}.",
        "taken_back_too_much": f"brings what is settled to {paid}.",
        "payment_taken_back_otherwise": "differs from the one that it takes back.",
        "settled_by_another_credit_note": "names a credit note that doesn't credit the invoice.",
    }
    return Breach(row["what"], f"Payment {row['id']} of {row['name']} {words[row['what']]}")


def _void(row: dict[str, Any]) -> Breach | None:
    place = f"{row['name']}, which voids {row['voided'] or 'a draft'},"
    if row["note_count"] != 1:
        return Breach("voided_twice", f"{place} is one of {row['note_count']}.")
    if row["kept_count"] or row["foreign_count"] or row["total"] != -row["was"]:
        total, was = shown(row["total"], row["currency"]), shown(row["was"], row["currency"])
        return Breach(
            "void_differs_from_invoice",
            f"{place} takes back {row['line_count'] - row['kept_count']} of its"
            f" {counted(row['line_count'], 'line')}, has {row['foreign_count']} more, and comes to {total}"
            f" of {was}.",
        )
    if row["open_amount"]:
        open_amount = shown(row["open_amount"], row["currency"])
        return Breach("void_with_open_amount", f"{place} leaves {open_amount} open on it.")
    return None


_PROOFS = (
    _Proof(_GRANTS, _grant),
    _Proof(_BALANCES, _balance),
    _Proof(_DRAWS, _draw),
    _Proof(_CREDIT_NOTES, _credit_note),
    _Proof(_PAYMENTS, _payment),
    _Proof(_VOIDS, _void),
)
