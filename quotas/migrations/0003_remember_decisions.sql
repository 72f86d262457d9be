-- What a decision says stays as it was written; how often it was taken, when last, and some of the events are
-- all that a repeat adds to. Old rows may be removed.
CREATE FUNCTION quotas_refuse_decision_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - ARRAY['count', 'last_at', 'events'] IS DISTINCT FROM
       to_jsonb(OLD) - ARRAY['count', 'last_at', 'events']
       OR NEW.count < OLD.count OR NEW.last_at < OLD.last_at THEN
        RAISE EXCEPTION 'What a quota decided is not changed afterwards.'
            USING ERRCODE = 'restrict_violation',
                  CONSTRAINT = 'quota_decision_stays_as_written',
                  TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER quota_decision_stays_as_written
    BEFORE UPDATE ON quotas_quotadecision
    FOR EACH ROW EXECUTE FUNCTION quotas_refuse_decision_change();

ALTER TABLE quotas_quotadecision ENABLE ALWAYS TRIGGER quota_decision_stays_as_written;
