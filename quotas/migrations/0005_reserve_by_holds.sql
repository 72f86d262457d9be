-- Holds are append-only, for everybody, as the ledger is (metering 0002): what was reserved stays on record, and
-- how it ended is a row of its own.
CREATE FUNCTION quotas_refuse_hold_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Holds are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'quota_hold_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'End a hold by using or releasing it.';
END
$$;

CREATE TRIGGER quota_hold_refuses_change
    BEFORE UPDATE OR DELETE ON quotas_quotahold
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_hold_change();
CREATE TRIGGER quota_hold_refuses_truncate
    BEFORE TRUNCATE ON quotas_quotahold
    FOR EACH STATEMENT EXECUTE FUNCTION quotas_refuse_hold_change();
CREATE TRIGGER hold_share_refuses_change
    BEFORE UPDATE OR DELETE ON quotas_quotaholdshare
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_hold_change();
CREATE TRIGGER hold_share_refuses_truncate
    BEFORE TRUNCATE ON quotas_quotaholdshare
    FOR EACH STATEMENT EXECUTE FUNCTION quotas_refuse_hold_change();
CREATE TRIGGER hold_ending_refuses_change
    BEFORE UPDATE OR DELETE ON quotas_quotaholdending
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_hold_change();
CREATE TRIGGER hold_ending_refuses_truncate
    BEFORE TRUNCATE ON quotas_quotaholdending
    FOR EACH STATEMENT EXECUTE FUNCTION quotas_refuse_hold_change();

ALTER TABLE quotas_quotahold ENABLE ALWAYS TRIGGER quota_hold_refuses_change;
ALTER TABLE quotas_quotahold ENABLE ALWAYS TRIGGER quota_hold_refuses_truncate;
ALTER TABLE quotas_quotaholdshare ENABLE ALWAYS TRIGGER hold_share_refuses_change;
ALTER TABLE quotas_quotaholdshare ENABLE ALWAYS TRIGGER hold_share_refuses_truncate;
ALTER TABLE quotas_quotaholdending ENABLE ALWAYS TRIGGER hold_ending_refuses_change;
ALTER TABLE quotas_quotaholdending ENABLE ALWAYS TRIGGER hold_ending_refuses_truncate;
