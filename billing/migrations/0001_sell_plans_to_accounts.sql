-- An account, its subscriptions and their plans have one currency: it is part of what they refer to each other by.
ALTER TABLE billing_subscription
    ADD CONSTRAINT subscription_in_currency_of_account
        FOREIGN KEY (account_id, currency) REFERENCES billing_billingaccount (id, currency)
        DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT subscription_in_currency_of_plan
        FOREIGN KEY (plan_id, currency) REFERENCES billing_plan (id, currency)
        DEFERRABLE INITIALLY DEFERRED;

-- Items last exactly as long as their subscription: whoever ends one ends what it takes.
ALTER TABLE billing_subscriptionitem
    ADD CONSTRAINT item_lasts_as_its_subscription
        FOREIGN KEY (subscription_id, account_id, during)
        REFERENCES billing_subscription (id, account_id, during)
        ON UPDATE CASCADE
        DEFERRABLE INITIALLY DEFERRED;

-- A published plan changes in one way only: it is archived.
CREATE FUNCTION billing_refuse_plan_change() RETURNS trigger
LANGUAGE plpgsql AS $$
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
$$;

-- Its prices don't change at all. The plan's row is held, so that it isn't published meanwhile.
CREATE FUNCTION billing_refuse_price_change() RETURNS trigger
LANGUAGE plpgsql AS $$
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
$$;

CREATE TRIGGER plan_refuses_change
    BEFORE UPDATE OR DELETE ON billing_plan
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_plan_change();
CREATE TRIGGER plan_refuses_truncate
    BEFORE TRUNCATE ON billing_plan
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_plan_change();
CREATE TRIGGER price_refuses_change
    BEFORE UPDATE OR DELETE ON billing_price
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_price_change();
CREATE TRIGGER price_refuses_truncate
    BEFORE TRUNCATE ON billing_price
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_price_change();
ALTER TABLE billing_plan ENABLE ALWAYS TRIGGER plan_refuses_change;
ALTER TABLE billing_plan ENABLE ALWAYS TRIGGER plan_refuses_truncate;
ALTER TABLE billing_price ENABLE ALWAYS TRIGGER price_refuses_change;
ALTER TABLE billing_price ENABLE ALWAYS TRIGGER price_refuses_truncate;

-- Not ALWAYS: a replica copies prices of plans that are published already.
CREATE TRIGGER price_refuses_addition
    BEFORE INSERT ON billing_price
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_price_change();
