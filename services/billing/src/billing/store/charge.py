"""Charges in the database: what was charged and what for, the charges of zero among them, and what was given back."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.charge import ChargeCategory, ChargeRecord, PaidShare, category_of
from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, ProductId, TransactionId
from billing.domain.movement import Moved
from billing.store.posting import account_of

_ADD = """
INSERT INTO charges (charge_id, account_id, amount_minor, gift_minor, payer_minor, description, transaction_id,
                     occurred_at, recorded_at)
SELECT n.charge_id, n.account_id, n.amount_minor, n.gift_minor, n.payer_minor, n.description, n.transaction_id,
       n.occurred_at, $1::timestamptz
FROM unnest($2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::bigint[], $6::text::bigint[],
            $7::text::text[], $8::text::text[], $9::text::timestamptz[])
     AS n(charge_id, account_id, amount_minor, gift_minor, payer_minor, description, transaction_id, occurred_at)
"""
_ADD_WITH_ORIGIN = """
INSERT INTO charges (charge_id, account_id, amount_minor, gift_minor, payer_minor, description, transaction_id,
                     occurred_at, recorded_at, category, late, external_id, product_id, order_id, subscription_id,
                     reservation_id)
SELECT n.charge_id, n.account_id, n.amount_minor, n.gift_minor, n.payer_minor, n.description, n.transaction_id,
       n.occurred_at, $1::timestamptz, n.category, n.late, n.external_id, n.product_id, n.order_id, n.subscription_id,
       n.reservation_id
FROM unnest($2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::bigint[], $6::text::bigint[],
            $7::text::text[], $8::text::text[], $9::text::timestamptz[], $10::text::text[], $11::text::boolean[],
            $12::text::text[], $13::text::text[], $14::text::text[], $15::text::text[], $16::text::text[])
     AS n(charge_id, account_id, amount_minor, gift_minor, payer_minor, description, transaction_id, occurred_at,
          category, late, external_id, product_id, order_id, subscription_id, reservation_id)
"""
_ORIGINS = ("external_id", "product_id", "order_id", "subscription_id", "reservation_id")
_SELECT = """
SELECT c.charge_id, c.account_id, a.customer_id, a.currency, c.amount_minor, c.gift_minor, c.payer_minor,
       (SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM charge_refunds r WHERE r.charge_id = c.charge_id)
           AS refunded_minor,
       c.description, c.category, c.transaction_id, c.external_id, c.product_id, c.order_id, c.late, c.occurred_at,
       c.recorded_at
FROM charges c JOIN accounts a USING (account_id)
"""
_FIND = f"{_SELECT} WHERE c.charge_id = ANY($1::text::text[])"
_LIST = f"""{_SELECT}
WHERE c.account_id = $1 AND c.charge_id < $2 AND ($3::text IS NULL OR c.category = $3::text)
ORDER BY c.charge_id DESC LIMIT $4
"""
_SHARES = """
SELECT account_id, -amount AS paid, balance_after, account_version FROM ledger_entries
WHERE source = $1 AND account_version IS NOT NULL ORDER BY line
"""
# Ids are made here, so that they follow each other in time; this one follows all.
_LAST = "~"


async def add_charges(connection: AsyncConnection, charged: Sequence[Moved], recorded_at: datetime) -> None:
    """Appends the charges that were taken."""
    if not charged:
        return
    movements = [moved.movement for moved in charged]
    columns = [
        array_of_texts([each.identity for each in movements]),
        array_of_texts([each.account_id for each in movements]),
        array_of_numbers([moved.amount.minor_units for moved in charged]),
        array_of_numbers([moved.gift.minor_units for moved in charged]),
        array_of_numbers([sum(share.amount.minor_units for share in moved.paid_by_others) for moved in charged]),
        array_of_texts([each.note for each in movements]),
        array_of_texts([moved.transaction_id for moved in charged]),
        array_of_instants([each.occurred_at for each in movements]),
    ]
    origins = [each.about for each in movements]
    if not any(origins):
        await fetch(connection, _ADD, recorded_at, *columns)
        return
    columns += [
        array_of_texts([category_of(about) for about in origins]),
        array_of_numbers(["late" in about for about in origins]),
        *(array_of_texts([about.get(name) for about in origins]) for name in _ORIGINS),
    ]
    await fetch(connection, _ADD_WITH_ORIGIN, recorded_at, *columns)


async def find_charges(connection: AsyncConnection, charge_ids: Iterable[ChargeId]) -> dict[ChargeId, ChargeRecord]:
    """Those of the charges that exist; what was given back of them is what holds behind their accounts' locks."""
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(charge_ids))))
    return {record.charge_id: record for record in map(_charge, rows)}


async def list_charges(
    connection: AsyncConnection,
    account_id: AccountId,
    category: ChargeCategory | None,
    *,
    before: ChargeId | None,
    limit: int,
) -> list[ChargeRecord]:
    """At most `limit` charges of an account that came before one, newest first."""
    rows = await fetch(connection, _LIST, account_id, before or _LAST, category, limit)
    return [_charge(row) for row in rows]


async def find_shares(connection: AsyncConnection, charge: ChargeRecord) -> list[PaidShare]:
    """Who paid a charge, where others did."""
    if not charge.payer.minor_units:
        return []
    rows = await fetch(connection, _SHARES, charge.transaction_id)
    currency = charge.amount.currency
    return [
        PaidShare(account_of(account), Money(paid, currency), Money(balance_after, currency), version)
        for account, paid, balance_after, version in rows
    ]


def _charge(row: Any) -> ChargeRecord:
    currency = row["currency"]
    return ChargeRecord(
        charge_id=ChargeId(row["charge_id"]),
        account_id=AccountId(row["account_id"]),
        customer_id=CustomerId(row["customer_id"]),
        amount=Money(row["amount_minor"], currency),
        gift=Money(row["gift_minor"], currency),
        payer=Money(row["payer_minor"], currency),
        refunded=Money(row["refunded_minor"], currency),
        description=row["description"],
        category=ChargeCategory(row["category"]),
        transaction_id=TransactionId(row["transaction_id"]) if row["transaction_id"] else None,
        external_id=row["external_id"] or "",
        product_id=ProductId(row["product_id"] or ""),
        order_id=OrderId(row["order_id"] or ""),
        late=row["late"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
    )
