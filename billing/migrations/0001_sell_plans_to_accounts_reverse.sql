DROP TRIGGER price_refuses_addition ON billing_price;
DROP TRIGGER price_refuses_truncate ON billing_price;
DROP TRIGGER price_refuses_change ON billing_price;
DROP TRIGGER plan_refuses_truncate ON billing_plan;
DROP TRIGGER plan_refuses_change ON billing_plan;
DROP FUNCTION billing_refuse_price_change();
DROP FUNCTION billing_refuse_plan_change();
ALTER TABLE billing_subscriptionitem DROP CONSTRAINT item_lasts_as_its_subscription;
ALTER TABLE billing_subscription
    DROP CONSTRAINT subscription_in_currency_of_plan,
    DROP CONSTRAINT subscription_in_currency_of_account;
