ALTER TABLE metering_pendingcontribution RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor,
    autovacuum_analyze_threshold
);
DROP TRIGGER usage_event_is_stamped ON metering_usageevent;
DROP TRIGGER usage_event_refuses_truncate ON metering_usageevent;
DROP TRIGGER usage_event_refuses_change ON metering_usageevent;
DROP FUNCTION metering_stamp_recorded_at();
DROP FUNCTION metering_refuse_ledger_change();
