-- Numbers of the catalogue's version come from a sequence, which no rollback turns back: a number never stands
-- for two different contents.
CREATE SEQUENCE metering_catalogue_version_seq AS bigint START 2;

-- Processes keep API keys at a version, too. A change of what a key may do moves it, however it is made; noting
-- a key's use doesn't.
CREATE FUNCTION metering_move_catalogue_version() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE metering_catalogueversion SET version = nextval('metering_catalogue_version_seq');
    RETURN NULL;
END
$$;

CREATE TRIGGER api_key_moves_the_version
    AFTER UPDATE OF digest, pepper_number, permissions, project_id, expires_at, revoked_at OR DELETE
    ON metering_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION metering_move_catalogue_version();

-- What each recorder begins with. Volatile, so that each statement has a snapshot of its own: the version is
-- read after the lock is held. A function, so that its plans are kept.
CREATE FUNCTION metering_open_page(
    draws integer, OUT version bigint, OUT opened_at timestamptz, OUT ids bigint[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(77001, 1);
    SELECT v.version INTO version FROM metering_catalogueversion v;
    opened_at := clock_timestamp();
    SELECT array_agg(nextval('metering_usageevent_id_seq')) INTO ids FROM generate_series(1, draws);
END
$$;
