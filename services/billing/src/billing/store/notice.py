"""What a payment notice is worked out from: reads of a few statements each, by index, however long the history is."""

from collections.abc import Sequence
from datetime import datetime

from chassis.arrays import array_of_texts
from chassis.calendar import Calendar
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, BillId
from billing.domain.notice import LINES_MAX, LOOKS_BACK, Moving, Name, Pending, Renewal
from billing.store.balance import BALANCE_PREFIX
from billing.store.bill import find_bills, open_bills
from billing.store.payment import find_payments

# Where the newest stay that is over ended: its bills were closed, or paid, as the account came back. A bill that does
# not know its stay was issued before stays had numbers.
_BACK_AT = """
WITH last AS (
    SELECT bill_id FROM bills
    WHERE account_id = $1 AND kind = 'original' AND ($2::bigint IS NULL OR crossing_version IS DISTINCT FROM $2)
    ORDER BY bill_number DESC LIMIT 1),
stay AS (
    SELECT bill_id FROM last UNION ALL SELECT b.bill_id FROM bills b JOIN last ON b.corrects_bill_id = last.bill_id)
SELECT coalesce(max(version), 0) AS version FROM (
    SELECT c.account_version AS version FROM stay JOIN bill_closures c USING (bill_id)
    UNION ALL
    SELECT e.account_version FROM stay JOIN bill_payments p USING (bill_id)
    JOIN ledger_entries e ON e.source = p.transaction_id AND e.account_id = $3) AS ends"""

# The newest by their numbers, so that no more is read than is shown; what is too old is left out of these.
_MOVEMENTS = """
SELECT e.source, t.kind, e.amount, coalesce(t.metadata->>'note', '') AS note, coalesce(c.charge_id, '') AS charge_id,
       CASE WHEN t.reverses IS NULL THEN c.category END AS category, p.display_name, p.display_name_zh,
       e.account_version, e.occurred_at
FROM (SELECT source, amount, account_version, occurred_at FROM ledger_entries
      WHERE account_id = $1 AND account_version > $2 AND amount <> 0
      ORDER BY account_version DESC LIMIT $3) AS e
JOIN ledger_transactions t ON t.source = e.source
LEFT JOIN charges c ON c.transaction_id = coalesce(t.reverses, e.source)
LEFT JOIN products p ON p.product_id = c.product_id
ORDER BY e.account_version DESC"""

# At the price that will act when the next cycle begins, of versions known now.
_RENEWALS = """
SELECT s.subscription_id, s.state, s.quantity, s.cycle_end, s.quantity * price.amount_minor AS amount_minor,
       p.display_name, p.display_name_zh
FROM subscriptions s JOIN products p USING (product_id)
CROSS JOIN LATERAL (
    SELECT amount_minor FROM prices
    WHERE product_id = s.product_id AND currency = $2
      AND effective_from <= s.cycle_end::timestamp AT TIME ZONE $3::text
    ORDER BY effective_from DESC, version DESC LIMIT 1) AS price
WHERE s.account_id = $1 AND s.state IN ('active', 'past_due', 'resting')
ORDER BY s.cycle_end, s.subscription_id LIMIT $4"""

_NOTES_OF = """
SELECT bill_id FROM bills WHERE corrects_bill_id = ANY($1::text::text[]) AND kind = 'credit_note'"""

# What counts as on its way. Where it did when the newest open bill was issued, and is not for one, the bills ask for so
# much less.
_PENDING = """
SELECT payment_id, coalesce(recorded_at < (SELECT max(recorded_at) FROM bills WHERE bill_id = ANY($2::text::text[])
                                           AND kind <> 'credit_note')
                            AND (bill_id IS NULL OR bill_id <> ALL($2::text::text[])), false) AS counted
FROM payments WHERE account_id = $1 AND state IN ('requested', 'pending') AND counts ORDER BY payment_id"""


async def movements_since_back(
    connection: AsyncConnection, account: Account, *, as_of: datetime
) -> tuple[list[Moving], bool]:
    """Movements since the account last came back to its threshold, newest first; and whether older ones were left out.
    They go back so far from the newest: a dormant account's notice shows what it lived on last."""
    balance = BALANCE_PREFIX + account.account_id
    stay = None if account.crossing is None else account.crossing.account_version
    (back,) = await fetch(connection, _BACK_AT, account.account_id, stay, balance)
    rows = await fetch(connection, _MOVEMENTS, balance, back["version"], LINES_MAX + 1)
    since = min(as_of, max((row["occurred_at"] for row in rows), default=as_of)) - LOOKS_BACK
    found = [
        Moving(
            transaction_id=row["source"],
            kind=row["kind"],
            amount=account.money(row["amount"]),
            note=row["note"],
            charge_id=row["charge_id"],
            category=row["category"] or "",
            name=None if row["display_name"] is None else Name(row["display_name"], row["display_name_zh"]),
            account_version=row["account_version"],
            occurred_at=row["occurred_at"],
        )
        for row in rows[:LINES_MAX]
        if row["occurred_at"] >= since
    ]
    return found, len(found) < len(rows)


async def renewals_of(connection: AsyncConnection, account: Account, calendar: Calendar) -> list[Renewal]:
    """The account's subscriptions that go on, with their next cycles."""
    rows = await fetch(connection, _RENEWALS, account.account_id, account.currency, calendar.zone.key, LINES_MAX)
    return [
        Renewal(
            subscription_id=row["subscription_id"],
            state=row["state"],
            name=Name(row["display_name"], row["display_name_zh"]),
            quantity=row["quantity"],
            amount=account.money(row["amount_minor"]),
            starts_on=row["cycle_end"],
            starts_at=calendar.start_of(row["cycle_end"]),
        )
        for row in rows
    ]


async def documents_of(connection: AsyncConnection, account_id: AccountId) -> list[Bill]:
    """The open bills of an account with the credit notes that take from them, by number."""
    asking = (await open_bills(connection, [account_id])).get(account_id, [])
    credited = [bill.bill_id for bill in asking if bill.credited_minor]
    if not credited:
        return asking
    notes = await fetch(connection, _NOTES_OF, array_of_texts(credited))
    found = await find_bills(connection, [BillId(row["bill_id"]) for row in notes])
    return sorted([*asking, *found.values()], key=lambda bill: bill.bill_number)


async def pending_of(connection: AsyncConnection, account_id: AccountId, asking: Sequence[Bill]) -> list[Pending]:
    """The payments that count as on their way into an account whose open bills these are, oldest first."""
    bill_ids = array_of_texts([bill.bill_id for bill in asking])
    rows = await fetch(connection, _PENDING, account_id, bill_ids)
    if not rows:
        return []
    found = await find_payments(connection, [row["payment_id"] for row in rows])
    return [Pending(found[row["payment_id"]], row["counted"]) for row in rows]
