"""What is claimed of payments: each is in the ledger once, and what went back of it too."""

from billing.store.rule import Rule

RULES = (
    Rule(
        "a payment that succeeded put its amount into its account, as the payment of its bill or as a recharge",
        "SELECT count(*) FROM payments WHERE state = 'succeeded'",
        """
        SELECT p.payment_id FROM payments p
        LEFT JOIN ledger_entries e ON e.source = p.transaction_id AND e.account_id = :prefix || p.account_id
        WHERE p.state = 'succeeded' AND (e.source IS NULL OR e.amount <> p.amount_minor
           OR p.transaction_id <> CASE WHEN p.bill_id IS NULL OR p.bill_missed THEN 'recharge:' || p.payment_id
                                       ELSE 'bill_payment:' || p.bill_id END)""",
    ),
    Rule(
        "refunds that were given and what the ledger took for them are the same, one to one and to the last unit",
        "SELECT count(*) FROM payment_refunds",
        """
        SELECT coalesce(r.refund_id, taken.source)
        FROM (SELECT r.*, p.account_id FROM payment_refunds r JOIN payments p USING (payment_id)
              WHERE r.state = 'succeeded') AS r
        FULL JOIN (SELECT e.source, e.account_id, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'payment_refund'
                   WHERE e.account_version IS NOT NULL) AS taken ON taken.source = r.transaction_id
        WHERE r.refund_id IS NULL OR taken.source IS NULL OR taken.amount <> -r.amount_minor
           OR taken.account_id <> :prefix || r.account_id""",
    ),
    Rule(
        "charge-backs and what the ledger took for them are the same, one to one and to the last unit",
        "SELECT count(*) FROM payment_chargebacks",
        """
        SELECT coalesce(c.payment_id, taken.source)
        FROM (SELECT c.*, p.account_id FROM payment_chargebacks c JOIN payments p USING (payment_id)) AS c
        FULL JOIN (SELECT e.source, e.account_id, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'chargeback'
                   WHERE e.account_version IS NOT NULL) AS taken ON taken.source = c.transaction_id
        WHERE c.payment_id IS NULL OR taken.source IS NULL OR taken.amount <> -c.amount_minor
           OR taken.account_id <> :prefix || c.account_id""",
    ),
    Rule(
        "no more is given back of a payment than it was, and no more is charged back",
        "SELECT count(*) FROM payments",
        """
        SELECT p.payment_id FROM payments p
        WHERE p.amount_minor < (SELECT coalesce(sum(r.amount_minor), 0) FROM payment_refunds r
                                WHERE r.payment_id = p.payment_id AND r.state <> 'declined')
           OR p.amount_minor < (SELECT coalesce(sum(c.amount_minor), 0) FROM payment_chargebacks c
                                WHERE c.payment_id = p.payment_id)""",
    ),
    Rule(
        "a provider's alias of a means of payment that lives is its customer's, and no other's",
        "SELECT count(*) FROM payment_aliases",
        """
        SELECT coalesce(t.account_id || ' ' || t.token_id, o.channel)
        FROM (SELECT t.*, a.customer_id FROM payment_tokens t JOIN accounts a USING (account_id)
              WHERE t.removed_at IS NULL) AS t
        FULL JOIN payment_aliases o ON o.channel = t.channel AND o.provider_token = t.provider_token
        WHERE o.customer_id IS DISTINCT FROM t.customer_id""",
    ),
    Rule(
        "a payment stands where its last step left it",
        "SELECT count(*) FROM payment_steps",
        """
        SELECT p.payment_id FROM payments p
        WHERE p.state IS DISTINCT FROM (SELECT s.state FROM payment_steps s WHERE s.payment_id = p.payment_id
                                        ORDER BY s.step DESC LIMIT 1)""",
    ),
)
