"""The proof: billing's rules asked of the tables themselves, so that nothing rests on the code being right.

Each rule comes with what is examined and with what breaks it. All are read from one snapshot.
"""

from collections.abc import Sequence

from chassis.proof import Check
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.store.balance import BALANCE_PREFIX, LEDGER
from billing.store.charging_proof import RULES as CHARGING
from billing.store.rule import Rule

_OFFENDERS_SHOWN = 10


_RULES = (
    Rule(
        "a bill has the one debit of its account that crossed the threshold, and states what that left",
        "SELECT count(*) FROM bills",
        """
        SELECT b.bill_id FROM bills b
        LEFT JOIN ledger_entries e ON e.source = b.transaction_id AND e.account_id = :prefix || b.account_id
        WHERE e.source IS NULL OR e.amount >= 0 OR e.balance_after <> b.balance_at_issue_minor
           OR b.balance_at_issue_minor >= b.threshold_minor""",
    ),
    Rule(
        "between two bills of an account its balance was back at the threshold of the first",
        "SELECT count(*) FROM bills",
        """
        SELECT next_bill_id FROM (
            SELECT e.account_id, e.account_version, b.threshold_minor,
                   lead(b.bill_id) OVER in_order AS next_bill_id, lead(e.account_version) OVER in_order AS next_version
            FROM bills b
            JOIN ledger_entries e ON e.source = b.transaction_id AND e.account_id = :prefix || b.account_id
            WINDOW in_order AS (PARTITION BY e.account_id ORDER BY e.account_version)) AS pair
        WHERE next_bill_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM ledger_entries back WHERE back.account_id = pair.account_id
            AND back.account_version > pair.account_version AND back.account_version < pair.next_version
            AND back.balance_after >= pair.threshold_minor)""",
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
        "an account counts as below its threshold from the debit that crossed it until the balance is back",
        "SELECT count(*) FROM accounts",
        """
        SELECT a.account_id FROM accounts a WHERE a.crossed_version IS NOT NULL AND (
            NOT EXISTS (SELECT FROM ledger_entries e WHERE e.account_id = :prefix || a.account_id
                        AND e.account_version = a.crossed_version AND e.amount < 0
                        AND e.balance_after < a.crossed_threshold_minor)
            OR EXISTS (SELECT FROM ledger_entries e WHERE e.account_id = :prefix || a.account_id
                       AND e.account_version > a.crossed_version AND e.balance_after >= a.crossed_threshold_minor))
        UNION ALL
        SELECT b.account_id FROM bills b
        JOIN accounts a ON a.account_id = b.account_id AND a.crossed_version IS NULL
        JOIN ledger_entries e ON e.source = b.transaction_id AND e.account_id = :prefix || b.account_id
        WHERE NOT EXISTS (SELECT FROM ledger_entries back WHERE back.account_id = e.account_id
                          AND back.account_version > e.account_version AND back.balance_after >= b.threshold_minor)""",
    ),
    Rule(
        "a payment of a bill put the bill's amount into the bill's account",
        "SELECT count(*) FROM bill_payments",
        """
        SELECT coalesce(p.bill_id, credit.source)
        FROM (SELECT bill_payments.*, b.account_id, b.amount_minor FROM bill_payments JOIN bills b USING (bill_id)) AS p
        FULL JOIN (SELECT e.source, e.account_id, e.amount FROM ledger_entries e
                   JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'bill_payment'
                   WHERE e.account_version IS NOT NULL) AS credit ON credit.source = p.transaction_id
        WHERE p.bill_id IS NULL OR credit.source IS NULL OR credit.amount <> p.amount_minor
           OR credit.account_id <> :prefix || p.account_id""",
    ),
    Rule(
        "an account has one balance, in its currency and never below 0",
        "SELECT count(*) FROM accounts",
        """
        SELECT coalesce(a.account_id, l.id) FROM accounts a
        FULL JOIN ledger_accounts l ON l.id = :prefix || a.account_id
        WHERE a.account_id IS NULL OR l.id IS NULL OR l.asset <> a.currency OR l.floor <> 0 OR l.balance < 0""",
    ),
)


async def check_rules(connection: AsyncConnection) -> list[Check]:
    """Billing's own rules."""
    checks = []
    for rule in (*_RULES, *CHARGING):
        examined = (await connection.execute(text(rule.examined))).scalar_one()
        found = await connection.execute(text(rule.offenders), {"prefix": BALANCE_PREFIX})
        offenders = tuple(str(offender) for offender in found.scalars().fetchmany(_OFFENDERS_SHOWN))
        checks.append(Check(rule.claim, not offenders, examined, offenders))
    return checks


async def check_ledger(connection: AsyncConnection) -> Sequence[Check]:
    """The ledger's rules over the balances."""
    proof = await LEDGER.prove(connection)
    unbalanced = tuple(f"{asset}: {total}" for asset, total in proof.totals.items() if total)
    return [
        Check("all entries of a currency sum to zero", not unbalanced, proof.entries, unbalanced),
        *(Check(check.rule, not check.offenders, proof.entries, check.offenders) for check in proof.checks),
    ]
