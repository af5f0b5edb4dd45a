"""What billing claims of migrated balances, asked of the tables."""

from billing.store.rule import Rule

RULES = (
    Rule(
        "balances that runs took over and the ledger's migrations are the same, one to one and to the last unit",
        "SELECT count(*) FROM balance_migration_items WHERE transaction_id IS NOT NULL",
        """
        SELECT coalesce(i.transaction_id, credit.source)
        FROM (SELECT * FROM balance_migration_items WHERE transaction_id IS NOT NULL) AS i
        FULL JOIN (SELECT e.source, e.account_id, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'migration'
                   WHERE e.account_version IS NOT NULL) AS credit ON credit.source = i.transaction_id
        WHERE i.run_id IS NULL OR credit.source IS NULL OR credit.amount <> i.new_minor
           OR credit.account_id <> :prefix || i.account_id""",
    ),
    Rule(
        "what was taken back of migrated balances and the ledger's are the same, one to one and to the last unit",
        "SELECT count(*) FROM balance_migration_undos WHERE transaction_id IS NOT NULL",
        """
        SELECT coalesce(u.transaction_id, debit.source)
        FROM (SELECT u.*, i.account_id, i.new_minor FROM balance_migration_undos u
              JOIN balance_migration_items i USING (run_id, balance_id)) AS u
        FULL JOIN (SELECT e.source, e.account_id, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'migration_undo'
                   WHERE e.account_version IS NOT NULL) AS debit ON debit.source = u.transaction_id
        WHERE u.run_id IS NULL OR u.taken_minor + u.kept_minor <> u.new_minor
           OR (debit.source IS NULL AND (u.transaction_id IS NOT NULL OR u.taken_minor <> 0))
           OR debit.amount <> -u.taken_minor OR debit.account_id <> :prefix || u.account_id""",
    ),
    Rule(
        "a migrated balance is equal to the earmarked one at its rule's rate, to the part that was rounded off",
        "SELECT count(*) FROM balance_migration_items WHERE target IN ('cash', 'gift')",
        """
        SELECT i.run_id || '/' || i.balance_id
        FROM balance_migration_items i JOIN balance_migration_runs r USING (run_id)
        LEFT JOIN LATERAL (SELECT (rule -> 'rate' ->> 0)::numeric AS numerator, (rule -> 'rate' ->> 1)::numeric AS parts
                           FROM jsonb_array_elements(r.document -> 'rules') AS rule
                           WHERE rule ->> 'earmark' = i.earmark) AS rate ON true
        WHERE i.target IN ('cash', 'gift') AND (rate.parts IS NULL OR i.rounding_parts >= rate.parts
            OR i.old_minor * rate.numerator <> i.new_minor * rate.parts + i.rounding_parts)""",
    ),
    Rule(
        "an earmarked balance is taken over once, unless it was taken back as a whole",
        "SELECT count(*) FROM balance_migration_items WHERE applied",
        """
        SELECT i.balance_id FROM balance_migration_items i
        LEFT JOIN balance_migration_undos u USING (run_id, balance_id)
        WHERE i.applied AND coalesce(u.kept_minor, 1) > 0 GROUP BY i.balance_id HAVING count(*) > 1""",
    ),
)
