"""Subscriptions in the database. Every change raises the revision and is kept as a step."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.calendar import Calendar
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, ProductId, SubscriptionId
from billing.domain.subscription import Subscription, SubscriptionState

_COLUMNS = (
    "subscription_id, account_id, customer_id, product_id, quantity, subscriber_id, currency, state, anchor_day,"
    " cycle_start, cycle_end, cycle_charge_id, cycle_charged_minor, started_at, ended_at, order_id, revision"
)
_NEW = """
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::integer[],
            $6::text::text[], $7::text::text[], $8::text::text[], $9::text::integer[], $10::text::date[],
            $11::text::date[], $12::text::text[], $13::text::bigint[], $14::text::timestamptz[],
            $15::text::timestamptz[], $16::text::text[], $17::text::bigint[])
     AS n(subscription_id, account_id, customer_id, product_id, quantity, subscriber_id, currency, state, anchor_day,
          cycle_start, cycle_end, cycle_charge_id, cycle_charged_minor, started_at, ended_at, order_id, revision)
"""
_ADD = f"""
INSERT INTO subscriptions ({_COLUMNS}, recorded_at) SELECT n.*, $18::timestamptz {_NEW}
ON CONFLICT DO NOTHING RETURNING subscription_id
"""
_SET = f"""
UPDATE subscriptions s SET product_id = n.product_id, quantity = n.quantity, state = n.state,
  anchor_day = n.anchor_day, cycle_start = n.cycle_start, cycle_end = n.cycle_end,
  cycle_charge_id = n.cycle_charge_id, cycle_charged_minor = n.cycle_charged_minor, ended_at = n.ended_at,
  revision = n.revision, recorded_at = $18::timestamptz
{_NEW} WHERE s.subscription_id = n.subscription_id
"""  # noqa: S608
_ADD_STEPS = """
INSERT INTO subscription_steps (subscription_id, revision, state, product_id, quantity, cycle_start, cycle_end,
                                cycle_charge_id, cycle_charged_minor, because, occurred_at, recorded_at)
SELECT n.*, $10::text, $11::timestamptz, $12::timestamptz
FROM unnest($1::text::text[], $2::text::bigint[], $3::text::text[], $4::text::text[], $5::text::integer[],
            $6::text::date[], $7::text::date[], $8::text::text[], $9::text::bigint[]) AS n
"""
_FIND = f"SELECT {_COLUMNS} FROM subscriptions WHERE subscription_id = ANY($1::text::text[])"  # noqa: S608
_FOR_UPDATE = f"{_FIND} ORDER BY subscription_id FOR NO KEY UPDATE"
_LIST = f"""
SELECT {_COLUMNS} FROM subscriptions
WHERE subscription_id > $1::text AND ($2::text IS NULL OR customer_id = $2::text)
  AND ($3::text IS NULL OR account_id = $3::text) AND ($4::boolean OR state <> 'ended')
ORDER BY subscription_id LIMIT $5::bigint
"""  # noqa: S608
# The price that will act when the next cycle begins, of versions known now.
_CYCLE_SUMS = """
SELECT s.account_id, sum(s.quantity * p.amount_minor)::bigint AS sum_minor FROM subscriptions s
CROSS JOIN LATERAL (
    SELECT amount_minor FROM prices
    WHERE product_id = s.product_id AND currency = s.currency
      AND effective_from <= s.cycle_end::timestamp AT TIME ZONE $2::text
    ORDER BY effective_from DESC, version DESC LIMIT 1) AS p
WHERE s.account_id = ANY($1::text::text[]) AND s.state IN ('active', 'past_due', 'resting')
GROUP BY s.account_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFilter:
    """Which subscriptions to list; None does not restrict."""

    customer_id: CustomerId | None
    account_id: AccountId | None
    ended: bool


class Step(NamedTuple):
    """Why and when (business time) subscriptions came to stand as they do."""

    because: str
    occurred_at: datetime
    recorded_at: datetime


async def add_subscriptions(
    connection: AsyncConnection, added: Sequence[Subscription], step: Step
) -> SubscriptionId | None:
    """Adds subscriptions. The first whose identifier is in use is returned; the transaction must not be kept then."""
    if not added:
        return None
    free = {row["subscription_id"] for row in await fetch(connection, _ADD, *_arguments(added), step.recorded_at)}
    for each in added:
        if each.subscription_id not in free:
            return each.subscription_id
    await _add_steps(connection, added, step)
    return None


async def set_subscriptions(connection: AsyncConnection, changed: Sequence[Subscription], step: Step) -> None:
    """Stores how locked subscriptions stand now, by two statements however many there are."""
    if changed:
        await fetch(connection, _SET, *_arguments(changed), step.recorded_at)
        await _add_steps(connection, changed, step)


async def find_subscriptions(
    connection: AsyncConnection, subscription_ids: Collection[SubscriptionId], *, lock: bool = False
) -> dict[SubscriptionId, Subscription]:
    """Those that there are, as committed last, or locked until the transaction ends."""
    if not subscription_ids:
        return {}
    rows = await fetch(connection, _FOR_UPDATE if lock else _FIND, array_of_texts(sorted(set(subscription_ids))))
    return {found.subscription_id: found for found in map(_subscription, rows)}


async def list_subscriptions(
    connection: AsyncConnection, wanted: SubscriptionFilter, *, after: str | None, limit: int
) -> list[Subscription]:
    """At most `limit` subscriptions whose id follows `after`."""
    rows = await fetch(connection, _LIST, after or "", wanted.customer_id, wanted.account_id, wanted.ended, limit)
    return [_subscription(row) for row in rows]


async def cycle_sums(
    connection: AsyncConnection, account_ids: Iterable[AccountId], calendar: Calendar
) -> dict[AccountId, int]:
    """What the next cycles of each account's subscriptions come to at list price, in minor units; those that end with
    the cycle they are in do not count."""
    wanted = sorted(set(account_ids))
    if not wanted:
        return {}
    rows = await fetch(connection, _CYCLE_SUMS, array_of_texts(wanted), calendar.zone.key)
    return {AccountId(row["account_id"]): row["sum_minor"] for row in rows}


async def _add_steps(connection: AsyncConnection, standing: Sequence[Subscription], step: Step) -> None:
    await fetch(
        connection,
        _ADD_STEPS,
        array_of_texts([each.subscription_id for each in standing]),
        array_of_numbers([each.revision for each in standing]),
        array_of_texts([each.state for each in standing]),
        array_of_texts([each.product_id for each in standing]),
        array_of_numbers([each.quantity for each in standing]),
        array_of_texts([each.cycle_start.isoformat() for each in standing]),
        array_of_texts([each.cycle_end.isoformat() for each in standing]),
        array_of_texts([each.cycle_charge_id for each in standing]),
        array_of_numbers([each.cycle_charged_minor for each in standing]),
        step.because,
        step.occurred_at,
        step.recorded_at,
    )


def _arguments(standing: Sequence[Subscription]) -> tuple[str, ...]:
    return (
        array_of_texts([each.subscription_id for each in standing]),
        array_of_texts([each.account_id for each in standing]),
        array_of_texts([each.customer_id for each in standing]),
        array_of_texts([each.product_id for each in standing]),
        array_of_numbers([each.quantity for each in standing]),
        array_of_texts([each.subscriber_id for each in standing]),
        array_of_texts([each.currency for each in standing]),
        array_of_texts([each.state for each in standing]),
        array_of_numbers([each.anchor_day for each in standing]),
        array_of_texts([each.cycle_start.isoformat() for each in standing]),
        array_of_texts([each.cycle_end.isoformat() for each in standing]),
        array_of_texts([each.cycle_charge_id for each in standing]),
        array_of_numbers([each.cycle_charged_minor for each in standing]),
        array_of_instants([each.started_at for each in standing]),
        array_of_instants([each.ended_at for each in standing]),
        array_of_texts([each.order_id for each in standing]),
        array_of_numbers([each.revision for each in standing]),
    )


def _subscription(row: Any) -> Subscription:
    return Subscription(
        subscription_id=SubscriptionId(row["subscription_id"]),
        account_id=AccountId(row["account_id"]),
        customer_id=CustomerId(row["customer_id"]),
        product_id=ProductId(row["product_id"]),
        quantity=row["quantity"],
        subscriber_id=row["subscriber_id"],
        currency=row["currency"],
        state=SubscriptionState(row["state"]),
        anchor_day=row["anchor_day"],
        cycle_start=row["cycle_start"],
        cycle_end=row["cycle_end"],
        cycle_charge_id=ChargeId(row["cycle_charge_id"]),
        cycle_charged_minor=row["cycle_charged_minor"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        order_id=OrderId(row["order_id"]),
        revision=row["revision"],
    )
