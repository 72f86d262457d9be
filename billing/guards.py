"""What holds published plans and issued documents as they are; `metering.guards` checks and restores it."""

from metering.guards import GuardFunction, RowGuard

# Migration 0001.
_REFUSE_PLAN_CHANGE = GuardFunction(
    "billing_refuse_plan_change",
    """
BEGIN
    IF TG_OP = 'UPDATE' AND (
        OLD.state = 'draft'
        OR (OLD.state = 'published' AND NEW.state = 'archived'
            AND to_jsonb(NEW) - 'state' - 'archived_at' = to_jsonb(OLD) - 'state' - 'archived_at')
    ) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND OLD.state = 'draft' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'Published plans never change: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'published_plan_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'Clone the plan and publish the clone.';
END
""",
)
_REFUSE_PRICE_CHANGE = GuardFunction(
    "billing_refuse_price_change",
    """
DECLARE
    fixed_count bigint := 1;
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT count(*) FILTER (WHERE held.state <> 'draft') INTO fixed_count
          FROM (SELECT state
                  FROM billing_plan
                 WHERE id IN (CASE WHEN TG_OP = 'INSERT' THEN NEW.plan_id ELSE OLD.plan_id END,
                              CASE WHEN TG_OP = 'DELETE' THEN OLD.plan_id ELSE NEW.plan_id END)
                   FOR SHARE) AS held;
    END IF;
    IF fixed_count = 0 THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'Prices of published plans never change: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'price_of_published_plan_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'Clone the plan and publish the clone.';
END
""",
)

CATALOGUE_GUARDS = (
    RowGuard(
        "billing_plan", "plan_refuses_change", "BEFORE UPDATE OR DELETE", _REFUSE_PLAN_CHANGE, "the plans"
    ),
    RowGuard(
        "billing_plan",
        "plan_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_PLAN_CHANGE,
        "the plans",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_price", "price_refuses_change", "BEFORE UPDATE OR DELETE", _REFUSE_PRICE_CHANGE, "the prices"
    ),
    RowGuard(
        "billing_price",
        "price_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_PRICE_CHANGE,
        "the prices",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_price",
        "price_refuses_addition",
        "BEFORE INSERT",
        _REFUSE_PRICE_CHANGE,
        "the prices",
        is_always=False,
    ),
)

# Migration 0002.
_REFUSE_INVOICE_CHANGE = GuardFunction(
    "billing_refuse_invoice_change",
    """
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.issued_at IS NULL THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND OLD.issued_at IS NULL THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' AND NEW.issued_at IS NULL THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Issued documents never change: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'issued_invoice_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'Issue a credit note, or correct it on a later invoice.';
END
""",
)
_REFUSE_INVOICE_PART_CHANGE = GuardFunction(
    "billing_refuse_invoice_part_change",
    """
DECLARE
    fixed_count bigint := 1;
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT count(*) FILTER (WHERE held.issued_at IS NOT NULL) INTO fixed_count
          FROM (SELECT issued_at
                  FROM billing_invoice
                 WHERE id IN (CASE WHEN TG_OP = 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END,
                              CASE WHEN TG_OP = 'DELETE' THEN OLD.invoice_id ELSE NEW.invoice_id END)
                   FOR SHARE) AS held;
    END IF;
    IF fixed_count = 0 THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'Issued documents never change: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'issued_invoice_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'Issue a credit note, or correct it on a later invoice.';
END
""",
)
_REFUSE_SERIES_CHANGE = GuardFunction(
    "billing_refuse_series_change",
    """
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.kind = OLD.kind AND NEW.id = OLD.id
       AND NEW.last_number IN (OLD.last_number, OLD.last_number + 1) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A series of numbers has no gaps: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'series_counts_up_by_one',
              TABLE = TG_TABLE_NAME,
              HINT = 'Numbers are given by issuing documents.';
END
""",
)
_REFUSE_CORRECTION_CHANGE = GuardFunction(
    "billing_refuse_correction_change",
    """
BEGIN
    IF TG_OP <> 'TRUNCATE' AND OLD.state NOT IN ('booked', 'written_off') THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'A decided correction never changes: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'decided_correction_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'The next billing run finds what is still open.';
END
""",
)

DOCUMENT_GUARDS = (
    RowGuard(
        "billing_invoice",
        "invoice_refuses_change",
        "BEFORE UPDATE OR DELETE",
        _REFUSE_INVOICE_CHANGE,
        "the invoices",
    ),
    RowGuard(
        "billing_invoice",
        "invoice_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_INVOICE_CHANGE,
        "the invoices",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_invoiceline",
        "line_refuses_change",
        "BEFORE UPDATE OR DELETE",
        _REFUSE_INVOICE_PART_CHANGE,
        "the invoice lines",
    ),
    RowGuard(
        "billing_invoiceline",
        "line_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_INVOICE_PART_CHANGE,
        "the invoice lines",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_invoicediscount",
        "discount_refuses_change",
        "BEFORE UPDATE OR DELETE",
        _REFUSE_INVOICE_PART_CHANGE,
        "the invoice discounts",
    ),
    RowGuard(
        "billing_invoicediscount",
        "discount_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_INVOICE_PART_CHANGE,
        "the invoice discounts",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_invoiceapproval",
        "approval_refuses_change",
        "BEFORE UPDATE OR DELETE",
        _REFUSE_INVOICE_PART_CHANGE,
        "the approvals",
    ),
    RowGuard(
        "billing_invoiceapproval",
        "approval_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_INVOICE_PART_CHANGE,
        "the approvals",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_numberseries",
        "series_refuses_change",
        "BEFORE UPDATE OR DELETE",
        _REFUSE_SERIES_CHANGE,
        "the number series",
    ),
    RowGuard(
        "billing_numberseries",
        "series_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_SERIES_CHANGE,
        "the number series",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_periodcorrection",
        "period_correction_refuses_change",
        "BEFORE UPDATE OR DELETE",
        _REFUSE_CORRECTION_CHANGE,
        "the periods' corrections",
    ),
    RowGuard(
        "billing_periodcorrection",
        "period_correction_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_CORRECTION_CHANGE,
        "the periods' corrections",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_invoice",
        "invoice_refuses_addition",
        "BEFORE INSERT",
        _REFUSE_INVOICE_CHANGE,
        "the invoices",
        is_always=False,
    ),
    RowGuard(
        "billing_invoiceline",
        "line_refuses_addition",
        "BEFORE INSERT",
        _REFUSE_INVOICE_PART_CHANGE,
        "the invoice lines",
        is_always=False,
    ),
    RowGuard(
        "billing_invoicediscount",
        "discount_refuses_addition",
        "BEFORE INSERT",
        _REFUSE_INVOICE_PART_CHANGE,
        "the invoice discounts",
        is_always=False,
    ),
    RowGuard(
        "billing_invoiceapproval",
        "approval_refuses_addition",
        "BEFORE INSERT",
        _REFUSE_INVOICE_PART_CHANGE,
        "the approvals",
        is_always=False,
    ),
)
