"""What must hold of charges, refunds and reservations, whatever happened."""

from billing.store.rule import Rule

RULES = (
    Rule(
        "charges and the ledger's debits of charges are the same, one to one and to the last unit",
        "SELECT count(*) FROM charges",
        """
        SELECT coalesce(c.charge_id, debit.source)
        FROM (SELECT * FROM charges WHERE transaction_id IS NOT NULL) AS c
        FULL JOIN (SELECT e.source, sum(e.amount) AS amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind IN ('charge', 'reservation_commit')
                   WHERE e.account_version IS NOT NULL GROUP BY e.source) AS debit ON debit.source = c.transaction_id
        WHERE c.charge_id IS NULL OR debit.source IS NULL OR debit.amount <> -c.amount_minor""",
    ),
    Rule(
        "a charge was taken from its account, and from others as far as it says",
        "SELECT count(*) FROM charges",
        """
        SELECT c.charge_id FROM charges c
        LEFT JOIN ledger_entries e ON e.source = c.transaction_id AND e.account_version IS NOT NULL
        GROUP BY c.charge_id, c.payer_minor
        HAVING coalesce(-sum(e.amount) FILTER (WHERE e.account_id <> :prefix || c.account_id), 0) <> c.payer_minor""",
    ),
    Rule(
        "what was given back of a charge is in the ledger, and no more than the charge",
        "SELECT count(*) FROM charge_refunds",
        """
        SELECT r.refund_id FROM charge_refunds r
        LEFT JOIN ledger_transactions t ON t.source = r.transaction_id
        JOIN charges c USING (charge_id)
        WHERE t.source IS NULL OR t.reverses IS DISTINCT FROM c.transaction_id OR t.reversed_amount <> r.amount_minor
        UNION ALL
        SELECT c.charge_id FROM charges c JOIN charge_refunds r USING (charge_id)
        GROUP BY c.charge_id, c.amount_minor HAVING sum(r.amount_minor) > c.amount_minor""",
    ),
    Rule(
        "a reservation is open as long as the ledger holds its amount, and its charges are what it came to",
        "SELECT count(*) FROM reservations",
        """
        SELECT r.reservation_id FROM reservations r
        LEFT JOIN ledger_holds h ON h.id = 'reservation:' || r.reservation_id
        LEFT JOIN LATERAL (SELECT coalesce(sum(c.amount_minor), 0) AS charged_minor FROM charges c
                           WHERE c.account_id = r.account_id AND c.reservation_id = r.reservation_id) AS taken ON true
        WHERE h.id IS NULL OR h.amount <> r.granted_minor OR taken.charged_minor <> r.committed_minor
           OR h.state <> ALL (CASE r.state WHEN 'open' THEN ARRAY['open', 'expired']
                                           WHEN 'committed' THEN ARRAY['captured'] ELSE ARRAY['released'] END)""",
    ),
    Rule(
        "a month has the units of the records that stand, and comes to what these were charged",
        "SELECT count(*) FROM usage_counters",
        """
        SELECT coalesce(counted.account_id, n.account_id) || '/' || coalesce(counted.product_id, n.product_id)
        FROM (SELECT account_id, subscriber_id, product_id, month, price_version, sum(quantity) AS quantity
              FROM usage_records u WHERE state = 'charged' AND NOT EXISTS (
                  SELECT FROM usage_records c WHERE c.corrects_usage_id = u.usage_id AND c.state = 'charged')
              GROUP BY account_id, subscriber_id, product_id, month, price_version) AS counted
        FULL JOIN usage_counters n USING (account_id, subscriber_id, product_id, month, price_version)
        WHERE coalesce(counted.quantity, 0) <> coalesce(n.quantity, 0)
        UNION ALL
        SELECT n.account_id || '/' || n.product_id
        FROM (SELECT account_id, product_id, sum(charged_minor) AS charged_minor FROM usage_counters
              GROUP BY account_id, product_id) AS n
        JOIN (SELECT account_id, product_id, sum(amount_minor) AS amount_minor FROM usage_records
              WHERE state = 'charged' GROUP BY account_id, product_id) AS u USING (account_id, product_id)
        WHERE n.charged_minor <> u.amount_minor""",
    ),
    Rule(
        "a usage record that cost something has its charge, and one that did not has none",
        "SELECT count(*) FROM usage_records",
        """
        SELECT u.usage_id FROM usage_records u LEFT JOIN charges c USING (charge_id)
        WHERE greatest(coalesce(u.amount_minor, 0), 0) <> coalesce(c.amount_minor, 0)""",
    ),
)
