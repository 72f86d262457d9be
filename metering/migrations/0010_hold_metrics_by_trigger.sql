-- A metric that has rollups stays. In place of a foreign key, which would ask once for each rollup written.
CREATE FUNCTION metering_refuse_metric_deletion() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM metering_usagemeterrollup WHERE metric_id = OLD.id) THEN
        RAISE EXCEPTION 'Metric % has usage and stays.', OLD.key
            USING ERRCODE = 'restrict_violation',
                  CONSTRAINT = 'metric_with_rollups_stays',
                  TABLE = TG_TABLE_NAME,
                  HINT = 'Archive it instead.';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER metric_with_rollups_stays
    BEFORE DELETE ON metering_metricdefinition
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_metric_deletion();
