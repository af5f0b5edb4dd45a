"""Orders in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from chassis.driver import fetch
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, ProductId, SubscriptionId
from billing.domain.order import Order, OrderItem, OrderState

_COLUMNS = (
    "order_id, order_number, account_id, customer_id, state, items::text AS items, coupon_ids, points,"
    " points_hold_id, charge_ids, rejected_because, placed_at, recorded_at"
)
_ADD = text("""
INSERT INTO orders (order_id, account_id, customer_id, state, items, coupon_ids, points, points_hold_id, charge_ids,
                    rejected_because, placed_at, recorded_at)
VALUES (:order_id, :account_id, :customer_id, :state, CAST(:items AS jsonb), :coupon_ids, :points, :points_hold_id,
        :charge_ids, :rejected_because, :placed_at, :recorded_at)
ON CONFLICT (order_id) DO NOTHING RETURNING order_number
""")
_SETTLE = text("""
UPDATE orders SET state = :state, points_hold_id = :points_hold_id, charge_ids = :charge_ids,
  rejected_because = :rejected_because WHERE order_id = :order_id
""")
_FIND = f"SELECT {_COLUMNS} FROM orders WHERE order_id = $1::text"  # noqa: S608 - columns of ours
_FOR_UPDATE = f"{_FIND} FOR NO KEY UPDATE"
_LIST = f"""
SELECT {_COLUMNS} FROM orders
WHERE order_number < $1::bigint AND ($2::text IS NULL OR customer_id = $2::text)
  AND ($3::text IS NULL OR account_id = $3::text)
ORDER BY order_number DESC LIMIT $4::bigint
"""  # noqa: S608
_LEFT = f"""
SELECT {_COLUMNS} FROM orders
WHERE state = 'reserving' AND placed_at < $1::timestamptz AND recorded_at < $2::timestamptz
ORDER BY placed_at, order_id LIMIT $3::bigint
"""  # noqa: S608
_NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders to list; None does not restrict."""

    customer_id: CustomerId | None
    account_id: AccountId | None


async def add_order(connection: AsyncConnection, order: Order) -> bool:
    """Whether it was added: its identifier was free."""
    values = _changing(order) | {
        "account_id": order.account_id,
        "customer_id": order.customer_id,
        "items": orjson.dumps([list(item) for item in order.items]).decode(),
        "coupon_ids": list(order.coupon_ids),
        "points": order.points,
        "placed_at": order.placed_at,
        "recorded_at": order.recorded_at,
    }
    return (await connection.execute(_ADD, values)).one_or_none() is not None


async def settle_order(connection: AsyncConnection, order: Order) -> None:
    """Stores what became of an order that was reserving."""
    await connection.execute(_SETTLE, _changing(order))


async def find_order(connection: AsyncConnection, order_id: OrderId, *, lock: bool = False) -> Order | None:
    """The order as it was committed last, or locked until the transaction ends."""
    rows = await fetch(connection, _FOR_UPDATE if lock else _FIND, order_id)
    return _order(rows[0]) if rows else None


async def list_orders(
    connection: AsyncConnection, wanted: OrderFilter, *, before: int | None, limit: int
) -> list[Order]:
    """At most `limit` orders, the newest first."""
    highest = _NEWEST if before is None else before
    return [
        _order(row) for row in await fetch(connection, _LIST, highest, wanted.customer_id, wanted.account_id, limit)
    ]


async def orders_left(connection: AsyncConnection, *, placed: datetime, recorded: datetime, limit: int) -> list[Order]:
    """At most `limit` orders that reserve still, though they were placed and recorded before these instants."""
    return [_order(row) for row in await fetch(connection, _LEFT, placed, recorded, limit)]


def _changing(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "state": order.state,
        "points_hold_id": order.points_hold_id,
        "charge_ids": list(order.charge_ids),
        "rejected_because": order.rejected_because,
    }


def _order(row: Any) -> Order:
    return Order(
        order_id=OrderId(row["order_id"]),
        account_id=AccountId(row["account_id"]),
        customer_id=CustomerId(row["customer_id"]),
        items=tuple(
            OrderItem(ProductId(product), quantity, SubscriptionId(becomes) if becomes else None, subscriber)
            for product, quantity, becomes, subscriber in orjson.loads(row["items"])
        ),
        coupon_ids=tuple(row["coupon_ids"]),
        points=row["points"],
        points_hold_id=row["points_hold_id"],
        state=OrderState(row["state"]),
        charge_ids=tuple(ChargeId(each) for each in row["charge_ids"]),
        rejected_because=row["rejected_because"],
        placed_at=row["placed_at"],
        recorded_at=row["recorded_at"],
        number=row["order_number"],
    )
