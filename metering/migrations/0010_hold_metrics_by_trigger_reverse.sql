DROP TRIGGER metric_with_rollups_stays ON metering_metricdefinition;
DROP FUNCTION metering_refuse_metric_deletion();
