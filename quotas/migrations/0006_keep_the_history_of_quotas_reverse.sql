DROP TRIGGER quota_change_refuses_truncate ON quotas_quotachange;
DROP TRIGGER quota_change_refuses_change ON quotas_quotachange;
DROP FUNCTION quotas_refuse_history_change();
