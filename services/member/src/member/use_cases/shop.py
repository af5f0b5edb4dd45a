"""The rewards shop as operators keep it and members see it: items, stock, codes of others, offers."""

from dataclasses import dataclass
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.membership import Holder
from member.domain.program import ProgramNotFound
from member.domain.shop import (
    MAX_STOCK,
    OF_COUPONS,
    CodeKnown,
    Item,
    ItemId,
    ItemKind,
    ItemKindFixed,
    ItemNotFound,
    NotAnItemOfCodes,
    Offer,
    StockTooLow,
    check_codes,
    check_item,
    offer_of,
)
from member.domain.text import check_reason
from member.store import Connection, points, programs
from member.store import shop as store
from member.store.catalogue import PutBy
from member.store.shop import StockChange
from member.use_cases.holding import find_held


@dataclass(frozen=True, slots=True)
class PutItem:
    """Create the item or replace what is known of it; `put_by` is who does."""

    item: Item
    put_by: str

    def __post_init__(self) -> None:
        check_item(self.item)
        if self.item.kind in OF_COUPONS and not self.item.template_id:
            raise InvalidArgument("item.coupon_template_id", "is required for coupons and cash-off vouchers")


@dataclass(frozen=True, slots=True)
class ChangeStock:
    """Add to a stock or take from it; `put_by` is who does."""

    change: StockChange
    put_by: str

    def __post_init__(self) -> None:
        check_reason("reason", self.change.reason)
        if self.change.change == 0 or abs(self.change.change) > MAX_STOCK:
            raise InvalidArgument("change", f"must lie within ±{MAX_STOCK} and not be 0")


@dataclass(frozen=True, slots=True)
class AddCodes:
    """Add codes of somebody else; `put_by` is who does."""

    item_id: ItemId
    codes: tuple[str, ...]
    put_by: str

    def __post_init__(self) -> None:
        check_codes(self.codes)


@dataclass(frozen=True, slots=True)
class Browse:
    """What a member sees at an instant."""

    holder: Holder
    at: datetime


@dataclass(frozen=True, slots=True)
class Shelf:
    """The points that a member is free to use, and a page of offers and one more where there are more."""

    points_available: int
    offers: list[Offer]


async def put_item(transaction: Transaction, command: PutItem) -> Item:
    """Put the item; ProgramNotFound, ItemKindFixed, or InvalidArgument for a tier that the program does not have."""
    connection, item = transaction.connection, command.item
    known = await programs.find_programs_for_use(connection, [item.program_id])
    if item.program_id not in known:
        raise ProgramNotFound(item.program_id)
    tiers = {tier.tier_id for tier in known[item.program_id].tiers}
    for index, price in enumerate(item.prices):
        if price.tier_id not in tiers:
            raise InvalidArgument(f"item.prices[{index}].tier_id", "must be a tier of the program")
    before = await store.find_item(connection, item.item_id)
    if before is not None and before.kind is not item.kind:
        raise ItemKindFixed(item.item_id)
    return await store.put_item(connection, item, PutBy(command.put_by, transaction.recorded_at))


async def get_item(connection: Connection, item_id: ItemId) -> Item:
    """The item, or ItemNotFound."""
    item = await store.find_item(connection, item_id)
    if item is None:
        raise ItemNotFound(item_id)
    return item


async def list_items(connection: Connection, page: Page) -> list[Item]:
    """Items by id, one more than the page holds where there are more."""
    return await store.list_items(connection, after=page.after, limit=page.wanted)


async def change_stock(transaction: Transaction, command: ChangeStock) -> Item:
    """Change the stock, once under a name: a repeat changes nothing. ItemNotFound, NotAnItemOfCodes for one whose
    stock is its codes, StockTooLow where it would fall below zero, which what is ordered never does."""
    connection, change = transaction.connection, command.change
    item = await get_item(connection, change.item_id)
    if item.kind is ItemKind.CODE:
        raise NotAnItemOfCodes(item.item_id)
    if not await store.has_change(connection, change.change_id):
        await _change(transaction, change, command.put_by)
    return await get_item(connection, change.item_id)


async def add_codes(transaction: Transaction, command: AddCodes) -> Item:
    """Add codes, each one more in stock; ItemNotFound, NotAnItemOfCodes, CodeKnown where one is there already."""
    connection = transaction.connection
    item = await get_item(connection, command.item_id)
    if item.kind is not ItemKind.CODE:
        raise NotAnItemOfCodes(item.item_id)
    added = await store.insert_codes(connection, item.item_id, command.codes)
    if added != len(command.codes):
        raise CodeKnown(item.item_id)
    await _change(transaction, StockChange(new_id(), item.item_id, added, "codes added"), command.put_by)
    return await get_item(connection, item.item_id)


async def browse(connection: Connection, command: Browse, page: Page) -> Shelf:
    """What the member can order at an instant, with what each costs and what is in the way; MemberNotFound."""
    held = await find_held(connection, command.holder)
    balance = await points.balance_at(connection, held.member.member_id, command.at)
    found = await store.list_offered(
        connection, held.member.program_id, command.at, after=page.after, limit=page.wanted
    )
    taken = await store.count_taken(connection, held.member.member_id, [item.item_id for item in found])
    offers = [
        offer_of(item, held.tier.tier_id, available=balance.available, taken=taken.get(item.item_id, 0))
        for item in found
    ]
    return Shelf(balance.available, offers)


async def _change(transaction: Transaction, change: StockChange, put_by: str) -> None:
    connection, by = transaction.connection, PutBy(put_by, transaction.recorded_at)
    if not await store.change_stock(connection, change, by, most=MAX_STOCK):
        raise StockTooLow((await get_item(connection, change.item_id)).stock)
