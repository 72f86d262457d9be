DROP FUNCTION quotas_hold(integer[], text);
