-- These histories are append-only, for everybody, by the function of the kernel's (metering 0015).
CREATE TRIGGER staffchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_staffchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER staffchange_refuses_truncate
    BEFORE TRUNCATE ON config_staffchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_staffchange ENABLE ALWAYS TRIGGER staffchange_refuses_change;
ALTER TABLE config_staffchange ENABLE ALWAYS TRIGGER staffchange_refuses_truncate;

CREATE TRIGGER groupchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_groupchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER groupchange_refuses_truncate
    BEFORE TRUNCATE ON config_groupchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_groupchange ENABLE ALWAYS TRIGGER groupchange_refuses_change;
ALTER TABLE config_groupchange ENABLE ALWAYS TRIGGER groupchange_refuses_truncate;

CREATE TRIGGER membershipchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_membershipchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER membershipchange_refuses_truncate
    BEFORE TRUNCATE ON config_membershipchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_membershipchange ENABLE ALWAYS TRIGGER membershipchange_refuses_change;
ALTER TABLE config_membershipchange ENABLE ALWAYS TRIGGER membershipchange_refuses_truncate;

CREATE TRIGGER staffrightchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_staffrightchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER staffrightchange_refuses_truncate
    BEFORE TRUNCATE ON config_staffrightchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_staffrightchange ENABLE ALWAYS TRIGGER staffrightchange_refuses_change;
ALTER TABLE config_staffrightchange ENABLE ALWAYS TRIGGER staffrightchange_refuses_truncate;

CREATE TRIGGER grouprightchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_grouprightchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER grouprightchange_refuses_truncate
    BEFORE TRUNCATE ON config_grouprightchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_grouprightchange ENABLE ALWAYS TRIGGER grouprightchange_refuses_change;
ALTER TABLE config_grouprightchange ENABLE ALWAYS TRIGGER grouprightchange_refuses_truncate;

CREATE TRIGGER jobchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_jobchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER jobchange_refuses_truncate
    BEFORE TRUNCATE ON config_jobchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_jobchange ENABLE ALWAYS TRIGGER jobchange_refuses_change;
ALTER TABLE config_jobchange ENABLE ALWAYS TRIGGER jobchange_refuses_truncate;

CREATE TRIGGER intervalchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_intervalchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER intervalchange_refuses_truncate
    BEFORE TRUNCATE ON config_intervalchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_intervalchange ENABLE ALWAYS TRIGGER intervalchange_refuses_change;
ALTER TABLE config_intervalchange ENABLE ALWAYS TRIGGER intervalchange_refuses_truncate;

CREATE TRIGGER crontabchange_refuses_change
    BEFORE UPDATE OR DELETE ON config_crontabchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER crontabchange_refuses_truncate
    BEFORE TRUNCATE ON config_crontabchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE config_crontabchange ENABLE ALWAYS TRIGGER crontabchange_refuses_change;
ALTER TABLE config_crontabchange ENABLE ALWAYS TRIGGER crontabchange_refuses_truncate;

-- What there was before the histories began; by whom isn't known.

INSERT INTO config_staffchange
       (email, first_name, is_active, is_staff, is_superuser, last_name, username, database_role,
        pgh_created_at, pgh_label, pgh_obj_id)
SELECT email, first_name, is_active, is_staff, is_superuser, last_name, username, '', date_joined,
       'set', id
  FROM auth_user
 ORDER BY id;
INSERT INTO config_groupchange
       (name, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT name, '', now(), 'set', id
  FROM auth_group
 ORDER BY id;
INSERT INTO config_membershipchange
       (group_id, user_id, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT group_id, user_id, '', now(), 'set', id
  FROM auth_user_groups
 ORDER BY id;
INSERT INTO config_staffrightchange
       (permission_id, user_id, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT permission_id, user_id, '', now(), 'set', id
  FROM auth_user_user_permissions
 ORDER BY id;
INSERT INTO config_grouprightchange
       (group_id, permission_id, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT group_id, permission_id, '', now(), 'set', id
  FROM auth_group_permissions
 ORDER BY id;
INSERT INTO config_jobchange
       (args, clocked_id, crontab_id, description, enabled, expire_seconds, expires, interval_id,
        kwargs, name, one_off, queue, solar_id, start_time, task, database_role, pgh_created_at,
        pgh_label, pgh_obj_id)
SELECT args, clocked_id, crontab_id, description, enabled, expire_seconds, expires, interval_id, kwargs,
       name, one_off, queue, solar_id, start_time, task, '', now(), 'set', id
  FROM django_celery_beat_periodictask
 ORDER BY id;
INSERT INTO config_intervalchange
       (every, period, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT every, period, '', now(), 'set', id
  FROM django_celery_beat_intervalschedule
 ORDER BY id;
INSERT INTO config_crontabchange
       (day_of_month, day_of_week, hour, minute, month_of_year, timezone, database_role, pgh_created_at,
        pgh_label, pgh_obj_id)
SELECT day_of_month, day_of_week, hour, minute, month_of_year, timezone, '', now(), 'set', id
  FROM django_celery_beat_crontabschedule
 ORDER BY id;
