-- Seals and their leaves are append-only, for everybody, as the ledger is (migration 0002).
CREATE FUNCTION metering_refuse_seal_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Seals are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'ledger_seal_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'What was sealed stays sealed; `manage.py seal_ledger` adds to it.';
END
$$;

CREATE TRIGGER ledger_seal_refuses_change
    BEFORE UPDATE OR DELETE ON metering_ledgerseal
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_seal_change();

CREATE TRIGGER ledger_seal_refuses_truncate
    BEFORE TRUNCATE ON metering_ledgerseal
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_seal_change();

CREATE TRIGGER seal_leaf_refuses_change
    BEFORE UPDATE OR DELETE ON metering_sealleaf
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_seal_change();

CREATE TRIGGER seal_leaf_refuses_truncate
    BEFORE TRUNCATE ON metering_sealleaf
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_seal_change();

ALTER TABLE metering_ledgerseal ENABLE ALWAYS TRIGGER ledger_seal_refuses_change;
ALTER TABLE metering_ledgerseal ENABLE ALWAYS TRIGGER ledger_seal_refuses_truncate;
ALTER TABLE metering_sealleaf ENABLE ALWAYS TRIGGER seal_leaf_refuses_change;
ALTER TABLE metering_sealleaf ENABLE ALWAYS TRIGGER seal_leaf_refuses_truncate;
