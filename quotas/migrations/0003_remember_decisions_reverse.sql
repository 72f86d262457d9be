DROP TRIGGER quota_decision_stays_as_written ON quotas_quotadecision;
DROP FUNCTION quotas_refuse_decision_change();
