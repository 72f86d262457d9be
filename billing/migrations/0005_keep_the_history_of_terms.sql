-- These histories are append-only, for everybody, by the function of the kernel's (metering 0015).
CREATE TRIGGER planchange_refuses_change
    BEFORE UPDATE OR DELETE ON billing_planchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER planchange_refuses_truncate
    BEFORE TRUNCATE ON billing_planchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE billing_planchange ENABLE ALWAYS TRIGGER planchange_refuses_change;
ALTER TABLE billing_planchange ENABLE ALWAYS TRIGGER planchange_refuses_truncate;

CREATE TRIGGER pricechange_refuses_change
    BEFORE UPDATE OR DELETE ON billing_pricechange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER pricechange_refuses_truncate
    BEFORE TRUNCATE ON billing_pricechange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE billing_pricechange ENABLE ALWAYS TRIGGER pricechange_refuses_change;
ALTER TABLE billing_pricechange ENABLE ALWAYS TRIGGER pricechange_refuses_truncate;

CREATE TRIGGER accountchange_refuses_change
    BEFORE UPDATE OR DELETE ON billing_accountchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER accountchange_refuses_truncate
    BEFORE TRUNCATE ON billing_accountchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE billing_accountchange ENABLE ALWAYS TRIGGER accountchange_refuses_change;
ALTER TABLE billing_accountchange ENABLE ALWAYS TRIGGER accountchange_refuses_truncate;

CREATE TRIGGER subscriptionchange_refuses_change
    BEFORE UPDATE OR DELETE ON billing_subscriptionchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER subscriptionchange_refuses_truncate
    BEFORE TRUNCATE ON billing_subscriptionchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE billing_subscriptionchange ENABLE ALWAYS TRIGGER subscriptionchange_refuses_change;
ALTER TABLE billing_subscriptionchange ENABLE ALWAYS TRIGGER subscriptionchange_refuses_truncate;

CREATE TRIGGER sellerchange_refuses_change
    BEFORE UPDATE OR DELETE ON billing_sellerchange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER sellerchange_refuses_truncate
    BEFORE TRUNCATE ON billing_sellerchange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE billing_sellerchange ENABLE ALWAYS TRIGGER sellerchange_refuses_change;
ALTER TABLE billing_sellerchange ENABLE ALWAYS TRIGGER sellerchange_refuses_truncate;

CREATE TRIGGER serieschange_refuses_change
    BEFORE UPDATE OR DELETE ON billing_serieschange
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_history_change();
CREATE TRIGGER serieschange_refuses_truncate
    BEFORE TRUNCATE ON billing_serieschange
    FOR EACH STATEMENT EXECUTE FUNCTION metering_refuse_history_change();
ALTER TABLE billing_serieschange ENABLE ALWAYS TRIGGER serieschange_refuses_change;
ALTER TABLE billing_serieschange ENABLE ALWAYS TRIGGER serieschange_refuses_truncate;

-- What there was before the histories began; by whom isn't known.

INSERT INTO billing_planchange
       ("interval", archived_at, currency, description, interval_count, key, name, project_id,
        published_at, state, version, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT "interval", archived_at, currency, description, interval_count, key, name, project_id,
       published_at, state, version, '', created_at, 'set', id
  FROM billing_plan
 ORDER BY id;
INSERT INTO billing_pricechange
       (charged, kind, label_match, metric_id, name, per_project, plan_id, position, price, split_by,
        database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT charged, kind, label_match, metric_id, name, per_project, plan_id, position, price, split_by, '',
       now(), 'set', id
  FROM billing_price
 ORDER BY id;
INSERT INTO billing_accountchange
       (address_lines, approval_above, approve_corrections_above, country, currency, invoice_emails,
        issue_grace_days, issues_automatically, legal_name, payment_terms_days, project_id, tax_id,
        tax_rates, timezone, write_off_below, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT address_lines, approval_above, approve_corrections_above, country, currency, invoice_emails,
       issue_grace_days, issues_automatically, legal_name, payment_terms_days, project_id, tax_id,
       tax_rates, timezone, write_off_below, '', created_at, 'set', id
  FROM billing_billingaccount
 ORDER BY id;
INSERT INTO billing_subscriptionchange
       (account_id, cancelled_at, effective_from, effective_until, plan_id, replaces_id, trial_until,
        database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT account_id, cancelled_at, effective_from, effective_until, plan_id, replaces_id, trial_until, '',
       created_at, 'set', id
  FROM billing_subscription
 ORDER BY id;
INSERT INTO billing_sellerchange
       (address_lines, country, email, footer, legal_name, payment_details, tax_id, database_role,
        pgh_created_at, pgh_label, pgh_obj_id)
SELECT address_lines, country, email, footer, legal_name, payment_details, tax_id, '', now(), 'set', id
  FROM billing_seller
 ORDER BY id;
INSERT INTO billing_serieschange
       (digits, kind, prefix, database_role, pgh_created_at, pgh_label, pgh_obj_id)
SELECT digits, kind, prefix, '', now(), 'set', id
  FROM billing_numberseries
 ORDER BY id;
