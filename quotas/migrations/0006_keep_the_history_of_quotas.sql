-- The history of quotas is append-only, for everybody, as the ledger is (metering 0002).
CREATE FUNCTION quotas_refuse_history_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The history of quotas is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'quota_history_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Who changed what, and why, stays on record.';
END
$$;

CREATE TRIGGER quota_change_refuses_change
    BEFORE UPDATE OR DELETE ON quotas_quotachange
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_history_change();
CREATE TRIGGER quota_change_refuses_truncate
    BEFORE TRUNCATE ON quotas_quotachange
    FOR EACH STATEMENT EXECUTE FUNCTION quotas_refuse_history_change();
ALTER TABLE quotas_quotachange ENABLE ALWAYS TRIGGER quota_change_refuses_change;
ALTER TABLE quotas_quotachange ENABLE ALWAYS TRIGGER quota_change_refuses_truncate;

-- What there was before the history began.
INSERT INTO quotas_quotachange
       (anchor, counting, "limit", metric_id, mode, period, pgh_context, pgh_created_at, pgh_label, pgh_obj_id,
        project_id)
SELECT anchor, counting, "limit", metric_id, mode, period, NULL, created_at, 'set', id, project_id
  FROM quotas_projectquota
 ORDER BY id;
