"""What holds published plans and their prices as they are; `metering.guards` checks and restores it."""

from metering.guards import GuardFunction, RowGuard

# Migration 0001.
_REFUSE_PLAN_CHANGE = GuardFunction(
    "billing_refuse_plan_change",
    """
BEGIN
    IF TG_OP = 'UPDATE' AND (
        OLD.state = 'draft'
        OR (OLD.state = 'published' AND NEW.state = 'archived'
            AND to_jsonb(NEW) - 'state' - 'archived_at' = to_jsonb(OLD) - 'state' - 'archived_at')
    ) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND OLD.state = 'draft' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'Published plans never change: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'published_plan_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'Clone the plan and publish the clone.';
END
""",
)
_REFUSE_PRICE_CHANGE = GuardFunction(
    "billing_refuse_price_change",
    """
DECLARE
    fixed_count bigint := 1;
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT count(*) FILTER (WHERE held.state <> 'draft') INTO fixed_count
          FROM (SELECT state
                  FROM billing_plan
                 WHERE id IN (CASE WHEN TG_OP = 'INSERT' THEN NEW.plan_id ELSE OLD.plan_id END,
                              CASE WHEN TG_OP = 'DELETE' THEN OLD.plan_id ELSE NEW.plan_id END)
                   FOR SHARE) AS held;
    END IF;
    IF fixed_count = 0 THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'Prices of published plans never change: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'price_of_published_plan_is_fixed',
              TABLE = TG_TABLE_NAME,
              HINT = 'Clone the plan and publish the clone.';
END
""",
)

CATALOGUE_GUARDS = (
    RowGuard(
        "billing_plan", "plan_refuses_change", "BEFORE UPDATE OR DELETE", _REFUSE_PLAN_CHANGE, "the plans"
    ),
    RowGuard(
        "billing_plan",
        "plan_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_PLAN_CHANGE,
        "the plans",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_price", "price_refuses_change", "BEFORE UPDATE OR DELETE", _REFUSE_PRICE_CHANGE, "the prices"
    ),
    RowGuard(
        "billing_price",
        "price_refuses_truncate",
        "BEFORE TRUNCATE",
        _REFUSE_PRICE_CHANGE,
        "the prices",
        level="STATEMENT",
    ),
    RowGuard(
        "billing_price",
        "price_refuses_addition",
        "BEFORE INSERT",
        _REFUSE_PRICE_CHANGE,
        "the prices",
        is_always=False,
    ),
)
