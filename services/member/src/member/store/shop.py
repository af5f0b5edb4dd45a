"""Items of the rewards shop with their stock, codes of others, and orders.

Whoever takes from a stock or puts back locks the item's row by changing it; an order that exists is locked before."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Row,
    Select,
    Table,
    Text,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, MemberId
from member.domain.program import ProgramId
from member.domain.shop import Item, ItemId, ItemKind, ItemText, Order, OrderId, OrderState, TierPrice
from member.store.catalogue import Document, PutBy, content_of, instant_of, put_document
from member.store.tables import METADATA, members

_OPEN = text("state = 'open'")

shop_items = Table(
    "shop_items",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("stock", BigInteger, nullable=False, server_default="0", comment="what can be ordered"),
    Column("stocked", BigInteger, nullable=False, server_default="0", comment="what was ever put into stock"),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("stock >= 0", name="shop_items_stock_not_negative"),
)

shop_stock_changes = Table(
    "shop_stock_changes",
    METADATA,
    Column("change_id", Text, primary_key=True),
    Column("item_id", Text, ForeignKey("shop_items.item_id"), nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("shop_stock_changes_by_item", "item_id"),
)

shop_orders = Table(
    "shop_orders",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("item_id", Text, ForeignKey("shop_items.item_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("fulfil_until", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("coupon_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("source", Text, unique=True, comment="the request that placed it; empty of the oldest ones"),
    CheckConstraint("state IN ('open', 'fulfilled', 'cancelled')", name="shop_orders_state_known"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="shop_orders_over"),
    Index("shop_orders_by_member", "member_id", "order_id"),
    Index("shop_orders_open", "order_id", postgresql_where=_OPEN),
    Index("shop_orders_due", "fulfil_until", "order_id", postgresql_where=_OPEN),
)

shop_codes = Table(
    "shop_codes",
    METADATA,
    Column("item_id", Text, ForeignKey("shop_items.item_id"), primary_key=True),
    Column("code", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("shop_orders.order_id"), unique=True, comment="null: free to be given"),
    Index("shop_codes_free", "item_id", "code", postgresql_where=text("order_id IS NULL")),
)

_OFFERED = text("""
    document->>'program_id' = :program AND document->>'withdrawn' = 'false'
    AND (document->>'valid_from')::timestamptz <= :at
    AND (document->>'valid_until' IS NULL OR (document->>'valid_until')::timestamptz > :at)
""")

_STOCK_OFF = text("""
    SELECT shop_items.item_id FROM shop_items
    LEFT JOIN (
        SELECT item_id, count(*) AS ordered FROM shop_orders WHERE state <> 'cancelled' GROUP BY item_id
    ) AS orders USING (item_id)
    LEFT JOIN (SELECT item_id, sum(change) AS moved FROM shop_stock_changes GROUP BY item_id) AS changes USING (item_id)
    WHERE shop_items.stock + coalesce(orders.ordered, 0) <> shop_items.stocked
        OR coalesce(changes.moved, 0) <> shop_items.stocked
    ORDER BY shop_items.item_id LIMIT 10
""")


class StockChange(NamedTuple):
    """How many are added to an item's stock, or taken from it, and why; `change_id` names the change."""

    change_id: str
    item_id: ItemId
    change: int
    reason: str


async def put_item(connection: AsyncConnection, item: Item, by: PutBy) -> Item:
    """Put what is known of an item; its stock stays what it is."""
    content = content_of(item, "item_id", "stock", "revision")
    await put_document(connection, Document(shop_items, item.item_id, content, others={}), by)
    found = await find_item(connection, item.item_id)
    assert found is not None
    return found


async def find_item(connection: AsyncConnection, item_id: ItemId) -> Item | None:
    """The item, or None."""
    row = (await connection.execute(select(shop_items).where(shop_items.c.item_id == item_id))).one_or_none()
    return None if row is None else _item(row)


async def list_items(connection: AsyncConnection, *, after: str | None, limit: int) -> list[Item]:
    """Items in the order of their ids, from the one behind `after` on."""
    asked = select(shop_items).order_by(shop_items.c.item_id).limit(limit)
    if after is not None:
        asked = asked.where(shop_items.c.item_id > after)
    return [_item(row) for row in await connection.execute(asked)]


async def list_offered(
    connection: AsyncConnection, program_id: ProgramId, at: datetime, *, after: str | None, limit: int
) -> list[Item]:
    """Items that members of a program can order at an instant, in the order of their ids."""
    asked = select(shop_items).where(_OFFERED).params(program=program_id, at=at)
    if after is not None:
        asked = asked.where(shop_items.c.item_id > after)
    return [_item(row) for row in await connection.execute(asked.order_by(shop_items.c.item_id).limit(limit))]


async def take_one(connection: AsyncConnection, item_id: ItemId) -> Item | None:
    """One taken from the stock of the item, whose row is locked by it; None where none is left."""
    one_less = update(shop_items).where(shop_items.c.item_id == item_id, shop_items.c.stock > 0)
    written = await connection.execute(one_less.values(stock=shop_items.c.stock - 1).returning(*shop_items.c))
    row = written.one_or_none()
    return None if row is None else _item(row)


async def put_back(connection: AsyncConnection, items: Sequence[ItemId]) -> None:
    """Put one of each item named back into stock, in the order of their ids."""
    for item_id in sorted(items):
        back = update(shop_items).where(shop_items.c.item_id == item_id)
        await connection.execute(back.values(stock=shop_items.c.stock + 1))


async def change_stock(connection: AsyncConnection, change: StockChange, by: PutBy, *, most: int) -> bool:
    """Change the stock of an item and note who did; False where it would fall below zero or pass `most`."""
    after = shop_items.c.stock + change.change
    changed = update(shop_items).where(shop_items.c.item_id == change.item_id, after >= 0, after <= most)
    written = await connection.execute(
        changed.values(stock=after, stocked=shop_items.c.stocked + change.change).returning(shop_items.c.item_id)
    )
    if written.one_or_none() is None:
        return False
    noted = {"put_by": by.subject, "recorded_at": by.recorded_at}
    await connection.execute(insert(shop_stock_changes).values({**change._asdict(), **noted}))
    return True


async def has_change(connection: AsyncConnection, change_id: str) -> bool:
    """Whether a stock was changed by this name before."""
    known = exists().where(shop_stock_changes.c.change_id == change_id)
    return bool((await connection.execute(select(known))).scalar_one())


async def insert_codes(connection: AsyncConnection, item_id: ItemId, codes: Collection[str]) -> int:
    """Add codes that are not there yet; returns how many."""
    new = [{"item_id": item_id, "code": code} for code in sorted(codes)]
    written = await connection.execute(
        upsert(shop_codes).values(new).on_conflict_do_nothing().returning(shop_codes.c.code)
    )
    return len(written.all())


async def free_code(connection: AsyncConnection, item_id: ItemId) -> str:
    """A code of the item that nobody has; the item's row is locked, and its stock said that there is one."""
    asked = select(shop_codes.c.code).where(shop_codes.c.item_id == item_id, shop_codes.c.order_id.is_(None))
    found: str = (await connection.execute(asked.order_by(shop_codes.c.code).limit(1))).scalar_one()
    return found


async def give_code(connection: AsyncConnection, order: Order) -> None:
    """Note which order has the code."""
    key = (shop_codes.c.item_id == order.item_id) & (shop_codes.c.code == order.code)
    await connection.execute(update(shop_codes).where(key).values(order_id=order.order_id))


async def count_taken(connection: AsyncConnection, member_id: MemberId, items: Collection[ItemId]) -> dict[ItemId, int]:
    """How many of each item the member ordered and did not cancel; items of which none are left out."""
    asked = select(shop_orders.c.item_id, func.count().label("taken")).where(
        shop_orders.c.member_id == member_id,
        shop_orders.c.item_id.in_(items),
        shop_orders.c.state != OrderState.CANCELLED.value,
    )
    return {ItemId(row.item_id): row.taken for row in await connection.execute(asked.group_by(shop_orders.c.item_id))}


async def insert_order(connection: AsyncConnection, order: Order, *, source: str) -> None:
    """Write a new order, placed by the request of this name."""
    await connection.execute(insert(shop_orders).values(_values(order) | {"source": source}))


async def find_order_by_source(connection: AsyncConnection, source: str) -> Order | None:
    """The order that the request of this name placed, or None."""
    row = (await connection.execute(_orders().where(shop_orders.c.source == source))).one_or_none()
    return None if row is None else _order(row)


async def save_order(connection: AsyncConnection, order: Order) -> None:
    """Write an order as it stands now."""
    await connection.execute(update(shop_orders).where(shop_orders.c.order_id == order.order_id).values(_values(order)))


async def find_order_for_update(connection: AsyncConnection, order_id: OrderId) -> Order | None:
    """The order, locked, or None."""
    asked = _orders().where(shop_orders.c.order_id == order_id).with_for_update(of=shop_orders)
    row = (await connection.execute(asked)).one_or_none()
    return None if row is None else _order(row)


async def overdue_for_update(connection: AsyncConnection, as_of: datetime, *, limit: int) -> list[Order]:
    """The open orders that were to be fulfilled by an instant, locked, without those that somebody is at."""
    asked = _orders().where(_OPEN, shop_orders.c.fulfil_until <= as_of)
    ordered = asked.order_by(shop_orders.c.fulfil_until, shop_orders.c.order_id).limit(limit)
    return [_order(row) for row in await connection.execute(ordered.with_for_update(of=shop_orders, skip_locked=True))]


async def list_of_customer(
    connection: AsyncConnection, customer_id: CustomerId, *, before: str | None, limit: int
) -> list[Order]:
    """The orders of a customer and its persons, newest first."""
    asked = _orders().where(members.c.customer_id == customer_id)
    if before is not None:
        asked = asked.where(shop_orders.c.order_id < before)
    return [_order(row) for row in await connection.execute(asked.order_by(shop_orders.c.order_id.desc()).limit(limit))]


async def list_open(
    connection: AsyncConnection, item_id: ItemId | None, *, after: str | None, limit: int
) -> list[Order]:
    """The orders that wait to be fulfilled, oldest first, of one item where it is given."""
    asked = _orders().where(_OPEN)
    if item_id is not None:
        asked = asked.where(shop_orders.c.item_id == item_id)
    if after is not None:
        asked = asked.where(shop_orders.c.order_id > after)
    return [_order(row) for row in await connection.execute(asked.order_by(shop_orders.c.order_id).limit(limit))]


async def items_off_their_stock(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many items there are, and the first whose stock and orders are not what was put into stock."""
    examined = (await connection.execute(select(func.count()).select_from(shop_items))).scalar_one()
    return examined, tuple(row.item_id for row in await connection.execute(_STOCK_OFF))


def _orders() -> Select[Any]:
    held = (members.c.customer_id, members.c.program_id, members.c.person_id)
    return select(shop_orders, *held).join(members, members.c.member_id == shop_orders.c.member_id)


def _values(order: Order) -> dict[str, Any]:
    values = content_of(order, "holder")
    return values | {"placed_at": order.placed_at, "fulfil_until": order.fulfil_until, "ended_at": order.ended_at}


def _order(row: Row[Any]) -> Order:
    return Order(
        OrderId(row.order_id),
        ItemId(row.item_id),
        ItemKind(row.kind),
        MemberId(row.member_id),
        Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
        points=row.points,
        state=OrderState(row.state),
        placed_at=row.placed_at,
        fulfil_until=row.fulfil_until,
        ended_at=row.ended_at,
        coupon_id=row.coupon_id,
        code=row.code,
        revision=row.revision,
    )


def _item(row: Row[Any]) -> Item:
    document: dict[str, Any] = dict(row.document)
    valid_from = instant_of(document.pop("valid_from"))
    assert valid_from is not None
    return Item(
        ItemId(row.item_id),
        ItemKind(document.pop("kind")),
        tuple(ItemText(**each) for each in document.pop("texts")),
        prices=tuple(TierPrice(**each) for each in document.pop("prices")),
        valid_from=valid_from,
        valid_until=instant_of(document.pop("valid_until")),
        stock=row.stock,
        revision=row.revision,
        **document,
    )
