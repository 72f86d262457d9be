-- The ledger is append-only, for everybody. ENABLE ALWAYS keeps the guards firing under
-- session_replication_role = replica; restrict_violation is class 23, so Django sees an IntegrityError.
CREATE FUNCTION metering_refuse_ledger_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'usage_event_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Record a void and, if need be, a new event.';
END
$$;

CREATE TRIGGER usage_event_refuses_change
    BEFORE UPDATE OR DELETE ON metering_usageevent
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_ledger_change();

CREATE TRIGGER usage_event_refuses_truncate
    BEFORE TRUNCATE ON metering_usageevent
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_ledger_change();

ALTER TABLE metering_usageevent ENABLE ALWAYS TRIGGER usage_event_refuses_change;
ALTER TABLE metering_usageevent ENABLE ALWAYS TRIGGER usage_event_refuses_truncate;

-- Our clock says when the ledger took a row, whatever the writer says. Not a guard: it stays ENABLE ORIGIN,
-- so that a restored or replicated row keeps its time.
CREATE FUNCTION metering_stamp_recorded_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := pg_catalog.statement_timestamp();
    RETURN NEW;
END
$$;

CREATE TRIGGER usage_event_is_stamped
    BEFORE INSERT ON metering_usageevent
    FOR EACH ROW EXECUTE FUNCTION metering_stamp_recorded_at();

-- Pending rows live for seconds: vacuum by churn, not by share of a table that is usually empty.
ALTER TABLE metering_pendingcontribution SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 5000
);
