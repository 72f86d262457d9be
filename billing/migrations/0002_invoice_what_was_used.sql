-- An issued document never changes and is never removed; a document is issued by changing a draft.
CREATE FUNCTION billing_refuse_invoice_change() RETURNS trigger
LANGUAGE plpgsql AS $$
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
$$;

-- Nor do its lines, discounts and approvals. The document's row is held, so that it isn't issued meanwhile.
CREATE FUNCTION billing_refuse_invoice_part_change() RETURNS trigger
LANGUAGE plpgsql AS $$
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
$$;

-- A series counts up by one, with each document; it is never removed.
CREATE FUNCTION billing_refuse_series_change() RETURNS trigger
LANGUAGE plpgsql AS $$
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
$$;

-- What was decided about a correction stays: booked, or written off.
CREATE FUNCTION billing_refuse_correction_change() RETURNS trigger
LANGUAGE plpgsql AS $$
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
$$;

-- Payments, credit and its movements are only ever added.
CREATE FUNCTION billing_refuse_settlement_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Payments and credit are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'settlement_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Record a row that takes it back.';
END
$$;

CREATE TRIGGER invoice_refuses_change
    BEFORE UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_change();
CREATE TRIGGER invoice_refuses_truncate
    BEFORE TRUNCATE ON billing_invoice
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_invoice_change();
CREATE TRIGGER line_refuses_change
    BEFORE UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER line_refuses_truncate
    BEFORE TRUNCATE ON billing_invoiceline
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER discount_refuses_change
    BEFORE UPDATE OR DELETE ON billing_invoicediscount
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER discount_refuses_truncate
    BEFORE TRUNCATE ON billing_invoicediscount
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER approval_refuses_change
    BEFORE UPDATE OR DELETE ON billing_invoiceapproval
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER approval_refuses_truncate
    BEFORE TRUNCATE ON billing_invoiceapproval
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER series_refuses_change
    BEFORE UPDATE OR DELETE ON billing_numberseries
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_series_change();
CREATE TRIGGER series_refuses_truncate
    BEFORE TRUNCATE ON billing_numberseries
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_series_change();
CREATE TRIGGER period_correction_refuses_change
    BEFORE UPDATE OR DELETE ON billing_periodcorrection
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_correction_change();
CREATE TRIGGER period_correction_refuses_truncate
    BEFORE TRUNCATE ON billing_periodcorrection
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_correction_change();
CREATE TRIGGER payment_refuses_change
    BEFORE UPDATE OR DELETE ON billing_payment
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_settlement_change();
CREATE TRIGGER payment_refuses_truncate
    BEFORE TRUNCATE ON billing_payment
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_settlement_change();
CREATE TRIGGER credit_grant_refuses_change
    BEFORE UPDATE OR DELETE ON billing_creditgrant
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_settlement_change();
CREATE TRIGGER credit_grant_refuses_truncate
    BEFORE TRUNCATE ON billing_creditgrant
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_settlement_change();
CREATE TRIGGER credit_entry_refuses_change
    BEFORE UPDATE OR DELETE ON billing_creditentry
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_settlement_change();
CREATE TRIGGER credit_entry_refuses_truncate
    BEFORE TRUNCATE ON billing_creditentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_settlement_change();

ALTER TABLE billing_invoice ENABLE ALWAYS TRIGGER invoice_refuses_change;
ALTER TABLE billing_invoice ENABLE ALWAYS TRIGGER invoice_refuses_truncate;
ALTER TABLE billing_invoiceline ENABLE ALWAYS TRIGGER line_refuses_change;
ALTER TABLE billing_invoiceline ENABLE ALWAYS TRIGGER line_refuses_truncate;
ALTER TABLE billing_invoicediscount ENABLE ALWAYS TRIGGER discount_refuses_change;
ALTER TABLE billing_invoicediscount ENABLE ALWAYS TRIGGER discount_refuses_truncate;
ALTER TABLE billing_invoiceapproval ENABLE ALWAYS TRIGGER approval_refuses_change;
ALTER TABLE billing_invoiceapproval ENABLE ALWAYS TRIGGER approval_refuses_truncate;
ALTER TABLE billing_numberseries ENABLE ALWAYS TRIGGER series_refuses_change;
ALTER TABLE billing_numberseries ENABLE ALWAYS TRIGGER series_refuses_truncate;
ALTER TABLE billing_periodcorrection ENABLE ALWAYS TRIGGER period_correction_refuses_change;
ALTER TABLE billing_periodcorrection ENABLE ALWAYS TRIGGER period_correction_refuses_truncate;
ALTER TABLE billing_payment ENABLE ALWAYS TRIGGER payment_refuses_change;
ALTER TABLE billing_payment ENABLE ALWAYS TRIGGER payment_refuses_truncate;
ALTER TABLE billing_creditgrant ENABLE ALWAYS TRIGGER credit_grant_refuses_change;
ALTER TABLE billing_creditgrant ENABLE ALWAYS TRIGGER credit_grant_refuses_truncate;
ALTER TABLE billing_creditentry ENABLE ALWAYS TRIGGER credit_entry_refuses_change;
ALTER TABLE billing_creditentry ENABLE ALWAYS TRIGGER credit_entry_refuses_truncate;

-- Not ALWAYS: a replica copies documents that are issued already, and their parts.
CREATE TRIGGER invoice_refuses_addition
    BEFORE INSERT ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_change();
CREATE TRIGGER line_refuses_addition
    BEFORE INSERT ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER discount_refuses_addition
    BEFORE INSERT ON billing_invoicediscount
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_part_change();
CREATE TRIGGER approval_refuses_addition
    BEFORE INSERT ON billing_invoiceapproval
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_invoice_part_change();
