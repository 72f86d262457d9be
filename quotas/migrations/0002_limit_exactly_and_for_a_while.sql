-- Quota locks of one recorder, in the order given: ascending, so that nobody waits in a circle. Volatile, and each
-- lock a statement of its own; what is read after the call has a snapshot younger than the locks. `patience` is
-- how long to wait for each, as a lock_timeout. Lock class 77002; quotas/locks.py says what the keys are.
CREATE FUNCTION quotas_hold(keys integer[], patience text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    key integer;
    before text := current_setting('lock_timeout');
BEGIN
    PERFORM set_config('lock_timeout', patience, true);
    FOREACH key IN ARRAY keys LOOP
        PERFORM pg_advisory_xact_lock(77002, key);
    END LOOP;
    PERFORM set_config('lock_timeout', before, true);
END
$$;
