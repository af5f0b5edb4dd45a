"""Usage records and the counters of months in the database. Counters change under the locks of their accounts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, ChargeId, ProductId
from billing.domain.usage import Counter, CounterKey, LineMonth, SubscriberId, UsageId, UsageRecord, UsageStanding

_ADD = """
INSERT INTO usage_records (usage_id, account_id, product_id, subscriber_id, quantity, corrects_usage_id, state, reason,
                           month, price_version, amount_minor, currency, charge_id, refund_id, late, occurred_at,
                           recorded_at)
SELECT n.usage_id, n.account_id, n.product_id, n.subscriber_id, n.quantity, n.corrects_usage_id,
       CASE WHEN n.reason IS NULL THEN 'charged' ELSE 'rejected' END, n.reason, n.month, n.price_version,
       n.amount_minor, n.currency, n.charge_id, n.refund_id, n.late, n.occurred_at, $1::timestamptz
FROM unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::bigint[],
            $7::text::text[], $8::text::text[], $9::text::date[], $10::text::bigint[], $11::text::bigint[],
            $12::text::text[], $13::text::text[], $14::text::text[], $15::text::boolean[], $16::text::timestamptz[])
     WITH ORDINALITY
     AS n(usage_id, account_id, product_id, subscriber_id, quantity, corrects_usage_id, reason, month, price_version,
          amount_minor, currency, charge_id, refund_id, late, occurred_at, position)
ORDER BY n.position
"""
_SELECT = """
SELECT u.*, c.usage_id AS replaced_by
FROM usage_records u LEFT JOIN usage_records c ON c.corrects_usage_id = u.usage_id AND c.state = 'charged'
"""
_FIND = f"{_SELECT} WHERE u.usage_id = ANY($1::text::text[])"
_FIND_WITH_REPLACED = f"""
WITH RECURSIVE chain AS (
    SELECT usage_id, corrects_usage_id FROM usage_records WHERE usage_id = ANY($1::text::text[])
    UNION
    SELECT r.usage_id, r.corrects_usage_id FROM chain JOIN usage_records r ON r.usage_id = chain.corrects_usage_id)
{_SELECT} WHERE u.usage_id IN (SELECT usage_id FROM chain)"""  # noqa: S608 - no input in it
_CHARGED = """
SELECT u.account_id, u.subscriber_id, u.product_id, u.month, u.charge_id
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::date[])
     AS n(account_id, subscriber_id, product_id, month)
JOIN usage_records u USING (account_id, subscriber_id, product_id, month) JOIN charges c USING (charge_id)
WHERE c.amount_minor > (SELECT coalesce(sum(r.amount_minor), 0) FROM charge_refunds r WHERE r.charge_id = c.charge_id)
ORDER BY u.number DESC
"""
_LIST = f"""{_SELECT}
WHERE u.account_id = $1 AND u.number < $2 AND ($3::text IS NULL OR u.product_id = $3::text)
ORDER BY u.number DESC LIMIT $4
"""
_COUNTERS = """
SELECT c.account_id, c.subscriber_id, c.product_id, c.month, c.price_version, c.quantity, c.charged_minor
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::date[], $5::text::bigint[])
     AS n(account_id, subscriber_id, product_id, month, price_version)
JOIN usage_counters c USING (account_id, subscriber_id, product_id, month, price_version)
"""
_PUT_COUNTERS = """
INSERT INTO usage_counters (account_id, subscriber_id, product_id, month, price_version, quantity, charged_minor)
SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::date[], $5::text::bigint[],
                     $6::text::bigint[], $7::text::bigint[])
ON CONFLICT (account_id, subscriber_id, product_id, month, price_version)
DO UPDATE SET quantity = excluded.quantity, charged_minor = excluded.charged_minor
"""
# With a month all before it are closed, though nothing ran then.
_CLOSED = """
SELECT asked.month FROM unnest($1::text::date[]) AS asked(month)
WHERE asked.month <= (SELECT max(month) FROM closed_months)
"""
_CLOSE = """
INSERT INTO closed_months (month, closed_at) VALUES ($1::date, $2::timestamptz) ON CONFLICT DO NOTHING
"""
_NUMBER_LAST = 2**63 - 1


class UsageFilter(NamedTuple):
    """Which records to list; None does not restrict."""

    account_id: AccountId
    product_id: ProductId | None


class Numbered(NamedTuple):
    """A record with its number, in the order of recording."""

    number: int
    standing: UsageStanding


class Recorded(NamedTuple):
    """A record to be kept: how it stands, its month, and the refund where it gave back."""

    standing: UsageStanding
    month: date
    refund_id: str | None = None


async def add_usage(connection: AsyncConnection, records: Sequence[Recorded], recorded_at: datetime) -> None:
    """Appends records, in this order."""
    if not records:
        return
    standings = [each.standing for each in records]
    usages = [each.usage for each in standings]
    amounts = [each.amount for each in standings]
    await fetch(
        connection,
        _ADD,
        recorded_at,
        array_of_texts([each.usage_id for each in usages]),
        array_of_texts([each.account_id for each in usages]),
        array_of_texts([each.product_id for each in usages]),
        array_of_texts([each.subscriber_id for each in usages]),
        array_of_numbers([each.quantity for each in usages]),
        array_of_texts([each.corrects for each in usages]),
        array_of_texts([each.reason for each in standings]),
        array_of_texts([each.month.isoformat() for each in records]),
        array_of_numbers([each.counted and each.counted.price_version for each in standings]),
        array_of_numbers([amount.minor_units if amount else None for amount in amounts]),
        array_of_texts([amount.currency if amount else None for amount in amounts]),
        array_of_texts([each.charge_id for each in standings]),
        array_of_texts([each.refund_id for each in records]),
        array_of_numbers([each.late for each in standings]),
        array_of_instants([each.occurred_at for each in usages]),
    )


async def find_usage(connection: AsyncConnection, usage_ids: Iterable[UsageId]) -> dict[UsageId, UsageStanding]:
    """Those of the records that exist, as they stand."""
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(usage_ids))))
    return {standing.usage.usage_id: standing for standing in map(_standing, rows)}


async def find_with_replaced(
    connection: AsyncConnection, usage_ids: Collection[UsageId]
) -> dict[UsageId, UsageStanding]:
    """The same, with all that they took the place of, and what that had; without one asked for, without a query."""
    if not usage_ids:
        return {}
    rows = await fetch(connection, _FIND_WITH_REPLACED, array_of_texts(sorted(usage_ids)))
    return {standing.usage.usage_id: standing for standing in map(_standing, rows)}


async def find_charged(connection: AsyncConnection, months: Collection[LineMonth]) -> dict[LineMonth, list[ChargeId]]:
    """The charges of months of which something is left, newest first; without one asked for, without a query."""
    found: dict[LineMonth, list[ChargeId]] = {}
    if months:
        for row in await fetch(connection, _CHARGED, *_line_columns(sorted(months))):
            found.setdefault(LineMonth(*row[:4]), []).append(ChargeId(row["charge_id"]))
    return found


async def list_usage(
    connection: AsyncConnection, wanted: UsageFilter, *, before: int | None, limit: int
) -> list[Numbered]:
    """At most `limit` records whose number lies below `before`, newest first."""
    rows = await fetch(connection, _LIST, wanted.account_id, before or _NUMBER_LAST, wanted.product_id, limit)
    return [Numbered(row["number"], _standing(row)) for row in rows]


async def find_counters(connection: AsyncConnection, keys: Collection[CounterKey]) -> dict[CounterKey, Counter]:
    """Those of the counters that there are, of locked accounts; without one asked for, without a query."""
    if not keys:
        return {}
    rows = await fetch(connection, _COUNTERS, *_columns(sorted(keys)))
    return {CounterKey(*row[:5]): Counter(*row[5:]) for row in rows}


async def put_counters(connection: AsyncConnection, counters: Mapping[CounterKey, Counter]) -> None:
    """Stores where the counters of locked accounts stand now, in the order of their keys."""
    if not counters:
        return
    ordered = sorted(counters.items())
    await fetch(
        connection,
        _PUT_COUNTERS,
        *_columns([key for key, _ in ordered]),
        array_of_numbers([counter.quantity for _, counter in ordered]),
        array_of_numbers([counter.charged_minor for _, counter in ordered]),
    )


async def closed_months(connection: AsyncConnection, months: Collection[date]) -> set[date]:
    """Those of the months that are closed."""
    rows = await fetch(connection, _CLOSED, array_of_texts([month.isoformat() for month in months]))
    return {row["month"] for row in rows}


async def close_month(connection: AsyncConnection, month: date, closed_at: datetime) -> None:
    """What comes for this month from now on is late."""
    await fetch(connection, _CLOSE, month, closed_at)


def _columns(keys: Sequence[CounterKey]) -> list[str]:
    return [*_line_columns(keys), array_of_numbers([key.price_version for key in keys])]


def _line_columns(keys: Sequence[CounterKey] | Sequence[LineMonth]) -> list[str]:
    return [
        array_of_texts([key.account_id for key in keys]),
        array_of_texts([key.subscriber_id for key in keys]),
        array_of_texts([key.product_id for key in keys]),
        array_of_texts([key.month.isoformat() for key in keys]),
    ]


def _standing(row: Any) -> UsageStanding:
    usage = UsageRecord(
        usage_id=UsageId(row["usage_id"]),
        account_id=AccountId(row["account_id"]),
        product_id=ProductId(row["product_id"]),
        subscriber_id=SubscriberId(row["subscriber_id"]),
        quantity=row["quantity"],
        corrects=UsageId(row["corrects_usage_id"]) if row["corrects_usage_id"] else None,
        occurred_at=row["occurred_at"],
    )
    rated = row["amount_minor"] is not None
    key = CounterKey(usage.account_id, usage.subscriber_id, usage.product_id, row["month"], row["price_version"])
    return UsageStanding(
        usage=usage,
        counted=key if rated else None,
        amount=Money(row["amount_minor"], row["currency"]) if rated else None,
        charge_id=ChargeId(row["charge_id"]) if row["charge_id"] else None,
        reason=row["reason"],
        late=row["late"],
        replaced_by=UsageId(row["replaced_by"]) if row["replaced_by"] else None,
    )
