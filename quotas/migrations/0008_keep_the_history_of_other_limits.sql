-- These histories are append-only, for everybody, by the function of the first (0006).
CREATE TRIGGER override_change_refuses_change
    BEFORE UPDATE OR DELETE ON quotas_overridechange
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_history_change();
CREATE TRIGGER override_change_refuses_truncate
    BEFORE TRUNCATE ON quotas_overridechange
    FOR EACH STATEMENT EXECUTE FUNCTION quotas_refuse_history_change();
ALTER TABLE quotas_overridechange ENABLE ALWAYS TRIGGER override_change_refuses_change;
ALTER TABLE quotas_overridechange ENABLE ALWAYS TRIGGER override_change_refuses_truncate;

CREATE TRIGGER threshold_change_refuses_change
    BEFORE UPDATE OR DELETE ON quotas_thresholdchange
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_history_change();
CREATE TRIGGER threshold_change_refuses_truncate
    BEFORE TRUNCATE ON quotas_thresholdchange
    FOR EACH STATEMENT EXECUTE FUNCTION quotas_refuse_history_change();
ALTER TABLE quotas_thresholdchange ENABLE ALWAYS TRIGGER threshold_change_refuses_change;
ALTER TABLE quotas_thresholdchange ENABLE ALWAYS TRIGGER threshold_change_refuses_truncate;

-- What there was before the histories began. Of temporary limits it is known who gave them and why.
INSERT INTO quotas_overridechange
       (effective_from, effective_until, ended_by, "limit", pgh_context, pgh_created_at, pgh_label, pgh_obj_id,
        quota_id, reason)
SELECT effective_from, effective_until, ended_by, "limit",
       jsonb_build_object('actor', created_by, 'reason', reason, 'through', ''), created_at, 'set', id,
       quota_id, reason
  FROM quotas_quotaoverride
 ORDER BY id;
INSERT INTO quotas_thresholdchange
       (action, amount, approach_fraction, is_enabled, metric_id, notify_emails, period, pgh_context,
        pgh_created_at, pgh_label, pgh_obj_id, project_id, quota_fraction, removed_at, subject_id, subject_type)
SELECT action, amount, approach_fraction, is_enabled, metric_id, notify_emails, period, NULL,
       COALESCE(removed_at, created_at), CASE WHEN removed_at IS NULL THEN 'set' ELSE 'changed' END, id,
       project_id, quota_fraction, removed_at, subject_id, subject_type
  FROM quotas_usagethreshold
 ORDER BY id;
