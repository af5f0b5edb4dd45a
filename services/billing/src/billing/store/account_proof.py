"""What is claimed of accounts: their balances, gifts and payers."""

from billing.store.rule import Rule

RULES = (
    Rule(
        "an account has one balance, in its currency, and below its credit limit only by what it owes",
        "SELECT count(*) FROM accounts",
        """
        SELECT coalesce(a.account_id, l.id) FROM accounts a
        FULL JOIN ledger_accounts l ON l.id = :prefix || a.account_id
        WHERE a.account_id IS NULL OR l.id IS NULL OR l.asset <> a.currency OR l.floor <> -a.credit_limit_minor
           OR l.balance < l.floor - l.owed""",
    ),
    Rule(
        "gifts and the ledger's credits of gifts are the same, one to one and to the last unit",
        "SELECT count(*) FROM gifts",
        """
        SELECT coalesce(g.gift_id, credit.source) FROM gifts g
        FULL JOIN (SELECT e.source, e.account_id, e.account_version, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind IN ('gift', 'migration')
                   WHERE e.account_version IS NOT NULL AND (t.kind = 'gift' OR EXISTS (
                       SELECT FROM ledger_lots l
                       WHERE l.account_id = e.account_id AND l.account_version = e.account_version))
                   ) AS credit ON credit.source = g.gift_id
        WHERE g.gift_id IS NULL OR credit.source IS NULL OR credit.amount <> g.granted_minor
           OR credit.account_id <> :prefix || g.account_id OR credit.account_version <> g.lot""",
    ),
    Rule(
        "who pays for others is not paid for, and is kept in their currency; an account says whether it has payers",
        "SELECT count(*) FROM account_payers",
        """
        SELECT p.account_id || ' ' || p.payer_account_id FROM account_payers p
        JOIN accounts a ON a.account_id = p.account_id JOIN accounts payer ON payer.account_id = p.payer_account_id
        WHERE payer.currency <> a.currency OR payer.has_payers OR NOT a.has_payers
        UNION ALL
        SELECT a.account_id FROM accounts a
        WHERE a.has_payers AND NOT EXISTS (SELECT FROM account_payers p WHERE p.account_id = a.account_id)""",
    ),
    Rule(
        "what payers paid in their months is what charges of others took from their balances",
        "SELECT count(*) FROM payer_months",
        """
        SELECT coalesce(counted.account_id, taken.account_id) || ' ' || coalesce(counted.payer, taken.payer)
        FROM (SELECT account_id, payer_account_id AS payer, sum(paid_minor) AS paid FROM payer_months
              GROUP BY account_id, payer_account_id) AS counted
        FULL JOIN (SELECT c.account_id, substr(e.account_id, length(:prefix) + 1) AS payer, sum(-e.amount) AS paid
                   FROM charges c JOIN ledger_entries e ON e.source = c.transaction_id
                   WHERE e.account_version IS NOT NULL AND e.account_id <> :prefix || c.account_id
                   GROUP BY c.account_id, e.account_id) AS taken USING (account_id, payer)
        WHERE counted.paid IS DISTINCT FROM taken.paid""",
    ),
)
