"""What billing claims of crossings, bills and what was appended after them, asked of the tables.

The measure is balance and credit limit together. An entry's `floor` is minus the limit, less what the account owes; an
account that owes has nothing available. There the limit is the one that was set last: to one that owes none is set.

What a stay has on top of its threshold because a cycle is due counts until that is over.
"""

from billing.domain.movement import TAKEN_AGAIN_BY, MovementKind
from billing.store.rule import Rule


def _measure(entry: str) -> str:
    return f"""({entry}.balance_after - CASE
        WHEN {entry}.balance_after - {entry}.held_after > {entry}.floor THEN {entry}.floor
        ELSE coalesce((SELECT limits.floor FROM ledger_entries limits
                       JOIN ledger_transactions setting ON setting.source = limits.source
                       WHERE setting.kind = '{MovementKind.CREDIT_LIMIT}' AND limits.account_id = {entry}.account_id
                         AND limits.account_version <= {entry}.account_version
                       ORDER BY limits.account_version DESC LIMIT 1), 0) END)"""  # noqa: S608 - constants


def _no_more_due(stay: str, account: str, version: str) -> str:
    return f"""coalesce((SELECT over.due_minor FROM ended_dues over WHERE over.account_id = {account}
        AND over.crossing_version = {stay} AND over.account_version <= {version}), 0)"""  # noqa: S608 - constants


_STAYS = """
SELECT b.*, coalesce(b.crossing_version, e.account_version) AS stay FROM bills b
LEFT JOIN ledger_entries e ON e.source = b.transaction_id AND e.account_id = :prefix || b.account_id
WHERE b.kind = 'original'"""

# What was given back only to be taken again, later and from the same account.
_TAKEN_AGAIN = f"""
SELECT FROM ledger_transactions t
JOIN ledger_entries taken ON taken.source = t.metadata->>'{TAKEN_AGAIN_BY}' AND taken.account_id = e.account_id
WHERE t.source = e.source AND taken.account_version > e.account_version"""

# What the stay of a crossed account had on top and has not any more.
_ONCE_DUE = """coalesce((SELECT once.due_minor FROM ended_dues once
    WHERE once.account_id = a.account_id AND once.crossing_version = a.crossed_version), 0)"""

RULES = (
    Rule(
        "an original that came with a posting states what that left of its account, below the threshold",
        "SELECT count(*) FROM bills WHERE kind = 'original'",
        f"""
        SELECT b.bill_id FROM bills b
        LEFT JOIN ledger_entries e ON e.source = b.transaction_id AND e.account_id = :prefix || b.account_id
        WHERE b.kind = 'original' AND b.transaction_id IS NOT NULL
          AND (e.source IS NULL OR (e.amount >= 0 AND b.cause IS DISTINCT FROM 'credit_limit')
               OR e.balance_after <> b.balance_at_issue_minor
               OR {_measure("e")} >= b.threshold_minor
               OR e.account_version <> coalesce(b.crossing_version, e.account_version))""",  # noqa: S608 - constants
    ),
    Rule(
        "between two originals of an account its measure was back at the threshold of the first",
        "SELECT count(*) FROM bills WHERE kind = 'original'",
        f"""
        SELECT next_bill_id FROM (
            SELECT account_id, stay, threshold_minor, lead(bill_id) OVER in_order AS next_bill_id,
                   lead(stay) OVER in_order AS next_stay
            FROM ({_STAYS}) AS stays
            WINDOW in_order AS (PARTITION BY account_id ORDER BY stay, bill_number)) AS pair
        WHERE next_bill_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM ledger_entries back WHERE back.account_id = :prefix || pair.account_id
            AND back.account_version > pair.stay AND back.account_version <= pair.next_stay
            AND {_measure("back")} >= pair.threshold_minor
                - {_no_more_due("pair.stay", "pair.account_id", "back.account_version")})""",  # noqa: S608 - constants
    ),
    Rule(
        "bill numbers have no gaps, and the book ends with the last",
        "SELECT count(*) FROM bills",
        """
        SELECT coalesce(numbered.bill_id, 'book ' || book.book)
        FROM (SELECT bill_id, bill_number, row_number() OVER (ORDER BY bill_number) AS place FROM bills) AS numbered
        FULL JOIN bill_books book ON book.last_number = numbered.bill_number
        WHERE (numbered.bill_number IS NOT NULL AND numbered.bill_number <> numbered.place)
           OR (numbered.bill_id IS NULL AND book.last_number <> 0)
           OR (book.book IS NULL AND numbered.bill_number = (SELECT max(bill_number) FROM bills))""",
    ),
    Rule(
        "an account counts as below its threshold from the step that crossed it until its measure is back",
        "SELECT count(*) FROM accounts",
        f"""
        SELECT a.account_id FROM accounts a WHERE a.crossed_version IS NOT NULL AND (
            (a.crossed_version > 0 AND NOT EXISTS (
                SELECT FROM ledger_entries e WHERE e.account_id = :prefix || a.account_id
                        AND e.account_version = a.crossed_version
                        AND {_measure("e")} < a.crossed_threshold_minor + {_ONCE_DUE}
                        AND (e.amount < 0 OR a.crossed_cause NOT IN ('debit', 'expiry'))))
            OR EXISTS (SELECT FROM ledger_entries e WHERE e.account_id = :prefix || a.account_id
                       AND e.account_version > a.crossed_version
                       AND {_measure("e")} >= a.crossed_threshold_minor + {_ONCE_DUE}
                         - {_no_more_due("a.crossed_version", "a.account_id", "e.account_version")}
                       AND NOT EXISTS ({_TAKEN_AGAIN})))
        UNION ALL
        SELECT b.account_id FROM ({_STAYS}) AS b
        JOIN accounts a ON a.account_id = b.account_id AND a.crossed_version IS NULL
        WHERE NOT EXISTS (SELECT FROM ledger_entries back WHERE back.account_id = :prefix || b.account_id
                          AND back.account_version > b.stay
                          AND {_measure("back")} >= b.threshold_minor
                              - {_no_more_due("b.stay", "b.account_id", "back.account_version")})""",  # noqa: S608 - constants
    ),
    Rule(
        "a stay has on top of its threshold what is due, as long as the cycle is neither charged nor called off",
        "SELECT (SELECT count(*) FROM ended_dues) + (SELECT count(*) FROM accounts WHERE due_of IS NOT NULL)",
        """
        SELECT over.account_id FROM ended_dues over WHERE NOT EXISTS (
            SELECT FROM subscription_steps step JOIN subscriptions s USING (subscription_id)
            WHERE step.subscription_id = over.subscription_id AND step.recorded_at = over.recorded_at
              AND s.account_id = over.account_id AND step.state NOT IN ('past_due', 'resting'))
        UNION ALL
        SELECT a.account_id FROM accounts a LEFT JOIN subscriptions s ON s.subscription_id = a.due_of
        WHERE a.due_of IS NOT NULL AND (s.account_id IS DISTINCT FROM a.account_id
                                        OR s.state NOT IN ('past_due', 'resting'))
        UNION ALL
        SELECT a.account_id FROM accounts a JOIN ended_dues over
            ON over.account_id = a.account_id AND over.crossing_version = a.crossed_version
        WHERE a.due_of IS NOT NULL""",
    ),
    Rule(
        "what is asked of an account belongs to a stay that lasts",
        "SELECT count(*) FROM bills WHERE kind <> 'credit_note'",
        """
        SELECT b.bill_id FROM bills b JOIN accounts a USING (account_id)
        LEFT JOIN bill_payments p USING (bill_id) LEFT JOIN bill_closures c USING (bill_id)
        WHERE b.kind <> 'credit_note' AND p.bill_id IS NULL AND c.bill_id IS NULL AND a.crossed_version IS NULL""",
    ),
    Rule(
        "a bill ends once: paid by what credit notes left of it, or closed because nothing was left or needed",
        "SELECT count(*) FROM bills",
        """
        SELECT b.bill_id FROM bills b
        LEFT JOIN bill_payments p USING (bill_id) LEFT JOIN bill_closures c USING (bill_id)
        LEFT JOIN LATERAL (SELECT coalesce(sum(n.amount_minor), 0) AS minor FROM bills n
                           WHERE n.corrects_bill_id = b.bill_id AND n.kind = 'credit_note') AS credited ON true
        WHERE (p.bill_id IS NOT NULL AND c.bill_id IS NOT NULL)
           OR (b.kind = 'credit_note' AND (p.bill_id IS NOT NULL OR c.bill_id IS NOT NULL))
           OR credited.minor > b.amount_minor
           OR (p.bill_id IS NOT NULL AND b.amount_minor - credited.minor <> coalesce(p.amount_minor, b.amount_minor))
           OR (c.because = 'credited') <> (c.bill_id IS NOT NULL AND credited.minor = b.amount_minor)""",
    ),
    Rule(
        "a bill closed as restored was closed by a movement that left its account at the threshold",
        "SELECT count(*) FROM bill_closures",
        f"""
        SELECT c.bill_id FROM bill_closures c JOIN bills b USING (bill_id)
        LEFT JOIN ledger_entries e
          ON e.account_id = :prefix || b.account_id AND e.account_version = c.account_version
        WHERE c.because = 'restored' AND b.crossing_version IS NOT NULL
          AND (e.source IS NULL OR {_measure("e")} < b.threshold_minor
               - {_no_more_due("b.crossing_version", "b.account_id", "e.account_version")})""",  # noqa: S608 - constants
    ),
    Rule(
        "a supplement and a credit note belong to a bill of the same account, a supplement to an original",
        "SELECT count(*) FROM bills WHERE kind <> 'original'",
        """
        SELECT b.bill_id FROM bills b LEFT JOIN bills of ON of.bill_id = b.corrects_bill_id
        WHERE b.kind <> 'original' AND (of.account_id IS DISTINCT FROM b.account_id
          OR of.bill_number >= b.bill_number OR of.kind = 'credit_note'
          OR (b.kind = 'supplement' AND of.kind <> 'original'))""",
    ),
    Rule(
        "a payment of a bill put what the bill still asked for into the bill's account",
        "SELECT count(*) FROM bill_payments",
        """
        SELECT coalesce(p.bill_id, credit.source)
        FROM (SELECT paid.bill_id, paid.transaction_id, b.account_id,
                     coalesce(paid.amount_minor, b.amount_minor) AS paid_minor
              FROM bill_payments paid JOIN bills b USING (bill_id)) AS p
        FULL JOIN (SELECT e.source, e.account_id, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'bill_payment'
                   WHERE e.account_version IS NOT NULL) AS credit ON credit.source = p.transaction_id
        WHERE p.bill_id IS NULL OR credit.source IS NULL OR credit.amount <> p.paid_minor
           OR credit.account_id <> :prefix || p.account_id""",
    ),
    Rule(
        "an account's state is the last that was appended, and who was suspended over a bill still owes one",
        "SELECT count(*) FROM account_states",
        """
        SELECT a.account_id FROM accounts a
        LEFT JOIN LATERAL (SELECT s.* FROM account_states s WHERE s.account_id = a.account_id
                           ORDER BY s.revision DESC LIMIT 1) AS last ON true
        WHERE (a.state_revision, a.state, a.state_because)
              IS DISTINCT FROM (coalesce(last.revision, 0), coalesce(last.state, 'active'), last.because)
        UNION ALL
        SELECT a.account_id FROM accounts a
        WHERE a.state = 'suspended' AND a.state_because = 'overdue' AND NOT EXISTS (
            SELECT FROM bills b LEFT JOIN bill_payments p USING (bill_id) LEFT JOIN bill_closures c USING (bill_id)
            WHERE b.account_id = a.account_id AND b.kind <> 'credit_note'
              AND p.bill_id IS NULL AND c.bill_id IS NULL)""",
    ),
)
