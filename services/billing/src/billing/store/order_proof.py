"""What must hold of reckonings, orders and subscriptions, whatever happened."""

from billing.store.rule import Rule

RULES = (
    Rule(
        "the lines of a reckoning sum to its total",
        "SELECT count(*) FROM reckonings",
        """
        SELECT r.reckoning_id FROM reckonings r
        WHERE r.total_minor <> (SELECT coalesce(sum(l.amount_minor), 0) FROM reckoning_lines l
                                WHERE l.reckoning_id = r.reckoning_id)""",
    ),
    Rule(
        "a charge of an order or a cycle was what its reckoning comes to",
        "SELECT count(*) FROM charges WHERE category IN ('order', 'recurring')",
        """
        SELECT c.charge_id FROM charges c LEFT JOIN reckonings r ON r.reckoning_id = c.charge_id
        WHERE c.category IN ('order', 'recurring') AND r.total_minor IS DISTINCT FROM c.amount_minor""",
    ),
    Rule(
        "an order that was placed has a charge of its account for each of its items, and no other has any",
        "SELECT count(*) FROM orders",
        """
        SELECT o.order_id FROM orders o
        WHERE cardinality(o.charge_ids) <> CASE o.state WHEN 'placed' THEN jsonb_array_length(o.items) ELSE 0 END
           OR cardinality(o.charge_ids) <> (
                SELECT count(*) FROM charges c WHERE c.charge_id = ANY(o.charge_ids)
                AND c.account_id = o.account_id AND c.order_id = o.order_id)""",
    ),
    Rule(
        "a subscription stands as the last of its steps says, and none is missing",
        "SELECT count(*) FROM subscriptions",
        """
        SELECT s.subscription_id FROM subscriptions s
        LEFT JOIN subscription_steps t USING (subscription_id, revision)
        WHERE (t.state, t.product_id, t.quantity, t.cycle_start, t.cycle_end, t.cycle_charge_id, t.cycle_charged_minor)
           IS DISTINCT FROM
              (s.state, s.product_id, s.quantity, s.cycle_start, s.cycle_end, s.cycle_charge_id, s.cycle_charged_minor)
           OR s.revision <> (SELECT count(*) FROM subscription_steps n WHERE n.subscription_id = s.subscription_id)""",
    ),
    Rule(
        "the cycle that a subscription paid last was charged to its account, and so much",
        "SELECT count(*) FROM subscriptions",
        """
        SELECT s.subscription_id FROM subscriptions s LEFT JOIN charges c ON c.charge_id = s.cycle_charge_id
        WHERE (c.account_id, c.subscription_id, c.amount_minor)
           IS DISTINCT FROM (s.account_id, s.subscription_id, s.cycle_charged_minor)""",
    ),
)
