-- The account of corrections is append-only, for everybody, as the ledger is (migration 0002).
CREATE FUNCTION metering_refuse_correction_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Corrections are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'correction_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Who corrected what, and why, stays on record.';
END
$$;

CREATE TRIGGER correction_refuses_change
    BEFORE UPDATE OR DELETE ON metering_correction
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_correction_change();

CREATE TRIGGER correction_refuses_truncate
    BEFORE TRUNCATE ON metering_correction
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_correction_change();

ALTER TABLE metering_correction ENABLE ALWAYS TRIGGER correction_refuses_change;
ALTER TABLE metering_correction ENABLE ALWAYS TRIGGER correction_refuses_truncate;
