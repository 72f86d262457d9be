-- These histories are append-only, for everybody, as the ledger is (0002).
CREATE FUNCTION metering_refuse_history_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The history of configuration is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'history_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Who changed what, and why, stays on record.';
END
$$;

CREATE TRIGGER projectchange_refuses_change
    BEFORE UPDATE OR DELETE ON metering_projectchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER projectchange_refuses_truncate
    BEFORE TRUNCATE ON metering_projectchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE metering_projectchange ENABLE ALWAYS TRIGGER projectchange_refuses_change;
ALTER TABLE metering_projectchange ENABLE ALWAYS TRIGGER projectchange_refuses_truncate;

CREATE TRIGGER surfacechange_refuses_change
    BEFORE UPDATE OR DELETE ON metering_surfacechange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER surfacechange_refuses_truncate
    BEFORE TRUNCATE ON metering_surfacechange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE metering_surfacechange ENABLE ALWAYS TRIGGER surfacechange_refuses_change;
ALTER TABLE metering_surfacechange ENABLE ALWAYS TRIGGER surfacechange_refuses_truncate;

CREATE TRIGGER rulechange_refuses_change
    BEFORE UPDATE OR DELETE ON metering_rulechange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER rulechange_refuses_truncate
    BEFORE TRUNCATE ON metering_rulechange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE metering_rulechange ENABLE ALWAYS TRIGGER rulechange_refuses_change;
ALTER TABLE metering_rulechange ENABLE ALWAYS TRIGGER rulechange_refuses_truncate;

CREATE TRIGGER metricchange_refuses_change
    BEFORE UPDATE OR DELETE ON metering_metricchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER metricchange_refuses_truncate
    BEFORE TRUNCATE ON metering_metricchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE metering_metricchange ENABLE ALWAYS TRIGGER metricchange_refuses_change;
ALTER TABLE metering_metricchange ENABLE ALWAYS TRIGGER metricchange_refuses_truncate;

CREATE TRIGGER apikeychange_refuses_change
    BEFORE UPDATE OR DELETE ON metering_apikeychange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER apikeychange_refuses_truncate
    BEFORE TRUNCATE ON metering_apikeychange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE metering_apikeychange ENABLE ALWAYS TRIGGER apikeychange_refuses_change;
ALTER TABLE metering_apikeychange ENABLE ALWAYS TRIGGER apikeychange_refuses_truncate;

CREATE TRIGGER endpointchange_refuses_change
    BEFORE UPDATE OR DELETE ON metering_endpointchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER endpointchange_refuses_truncate
    BEFORE TRUNCATE ON metering_endpointchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE metering_endpointchange ENABLE ALWAYS TRIGGER endpointchange_refuses_change;
ALTER TABLE metering_endpointchange ENABLE ALWAYS TRIGGER endpointchange_refuses_truncate;

-- What there was before the histories began; by whom isn't known.

INSERT INTO metering_projectchange
       (key, kind, name, parent_id, timezone, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT key, kind, name, parent_id, timezone, '', created_at, 'set', id
  FROM metering_project
 ORDER BY id;
INSERT INTO metering_surfacechange
       (key, name, project_id, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT key, name, project_id, '', installed_at, 'set', id
  FROM metering_surfaceinstallation
 ORDER BY id;
INSERT INTO metering_rulechange
       (billing_attribution_project_id, effective_from, effective_until, project_id, surface_id,
        database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT billing_attribution_project_id, effective_from, effective_until, project_id, surface_id, '',
       now(), 'set', id
  FROM metering_attributionrule
 ORDER BY id;
INSERT INTO metering_metricchange
       (aggregation, archived_from, counts_from, data_type, description, display_name,
        event_label_filter, event_name, expected_labels, is_incremental, key, meter_type,
        primary_labels, project_id, reporting_method, reset_period, unit, value_property, database_role,
        pgh_created_at, pgh_label, pgh_obj_id)
SELECT aggregation, archived_from, counts_from, data_type, description, display_name,
       event_label_filter, event_name, expected_labels, is_incremental, key, meter_type, primary_labels,
       project_id, reporting_method, reset_period, unit, value_property, '', created_at, 'set', id
  FROM metering_metricdefinition
 ORDER BY id;
INSERT INTO metering_apikeychange
       (expires_at, key_id, name, permissions, project_id, revoked_at, database_role, pgh_created_at,
        pgh_label, pgh_obj_id)
SELECT expires_at, key_id, name, permissions, project_id, revoked_at, '', created_at, 'set', id
  FROM metering_apikey
 ORDER BY id;
INSERT INTO metering_endpointchange
       (description, disabled_reason, is_enabled, kinds, project_id, url, database_role, pgh_created_at,
        pgh_label, pgh_obj_id)
SELECT description, disabled_reason, is_enabled, kinds, project_id, url, '', created_at, 'set', id
  FROM metering_webhookendpoint
 ORDER BY id;
