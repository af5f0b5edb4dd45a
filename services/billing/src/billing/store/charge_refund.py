"""Refunds of charges in the database; they are only appended."""

from collections.abc import Collection, Sequence
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.charge_refund import ChargeTaken, Refunding
from billing.domain.ids import AccountId, ChargeId, CustomerId, TransactionId

_FIND = """
SELECT c.charge_id, c.account_id, a.customer_id, a.currency, c.amount_minor, c.transaction_id, c.occurred_at,
       coalesce(c.order_id, '') AS order_id,
       (SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM charge_refunds r WHERE r.charge_id = c.charge_id)
         AS refunded_minor
FROM charges c JOIN accounts a USING (account_id) WHERE c.charge_id = ANY($1::text::text[])
"""
_ADD = """
INSERT INTO charge_refunds (refund_id, charge_id, account_id, amount_minor, transaction_id, reason, occurred_at,
                            recorded_at)
SELECT n.*, $8::timestamptz
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::text[],
            $6::text::text[], $7::text::timestamptz[]) AS n
"""


async def charges_taken(connection: AsyncConnection, charge_ids: Collection[ChargeId]) -> dict[ChargeId, ChargeTaken]:
    """Those of the charges that there are, with what was given back of them; to be read behind the accounts' locks."""
    if not charge_ids:
        return {}
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(charge_ids))))
    return {
        ChargeId(row["charge_id"]): ChargeTaken(
            charge_id=ChargeId(row["charge_id"]),
            account_id=AccountId(row["account_id"]),
            customer_id=CustomerId(row["customer_id"]),
            amount=Money(row["amount_minor"], row["currency"]),
            refunded_minor=row["refunded_minor"],
            transaction_id=TransactionId(row["transaction_id"]) if row["transaction_id"] else None,
            order_id=row["order_id"],
            occurred_at=row["occurred_at"],
        )
        for row in rows
    }


async def add_refunds(connection: AsyncConnection, refunds: Sequence[Refunding], recorded_at: datetime) -> None:
    """Appends refunds that were booked."""
    if not refunds:
        return
    await fetch(
        connection,
        _ADD,
        array_of_texts([each.refund_id for each in refunds]),
        array_of_texts([each.charge.charge_id for each in refunds]),
        array_of_texts([each.charge.account_id for each in refunds]),
        array_of_numbers([each.amount.minor_units for each in refunds]),
        array_of_texts([each.movement().transaction_id for each in refunds]),
        array_of_texts([each.reason for each in refunds]),
        array_of_instants([each.occurred_at for each in refunds]),
        recorded_at,
    )
