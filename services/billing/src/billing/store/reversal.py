"""Recharges as the ledger has them, and how much of them was taken back."""

from chassis.driver import fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import TransactionId
from billing.domain.movement import MovementKind
from billing.domain.reversal import Recharged
from billing.store.posting import account_of

_FIND = """
SELECT t.source, t.asset, t.occurred_at, t.metadata->>'payment_id' AS payment_id, e.account_id, e.amount,
       coalesce((SELECT sum(r.reversed_amount) FROM ledger_transactions r WHERE r.reverses = t.source), 0)::bigint
           AS reversed_minor
FROM ledger_transactions t
JOIN ledger_entries e ON e.source = t.source AND e.account_version IS NOT NULL
WHERE t.source = $1 AND t.kind = ANY($2::text[])"""

_KINDS = [MovementKind.RECHARGE.value, MovementKind.BILL_PAYMENT.value]


async def find_recharge(connection: AsyncConnection, transaction_id: TransactionId) -> Recharged | None:
    """A recharge, the payment of a bill included. What was taken back of it holds once its account is locked."""
    rows = await fetch(connection, _FIND, transaction_id, _KINDS)
    if not rows:
        return None
    (row,) = rows
    return Recharged(
        transaction_id=transaction_id,
        account_id=account_of(row["account_id"]),
        amount=Money(row["amount"], row["asset"]),
        reversed_minor=row["reversed_minor"],
        payment_id=row["payment_id"] or "",
        recharged_at=row["occurred_at"],
    )
