DROP TRIGGER seal_leaf_refuses_truncate ON metering_sealleaf;
DROP TRIGGER seal_leaf_refuses_change ON metering_sealleaf;
DROP TRIGGER ledger_seal_refuses_truncate ON metering_ledgerseal;
DROP TRIGGER ledger_seal_refuses_change ON metering_ledgerseal;
DROP FUNCTION metering_refuse_seal_change();
