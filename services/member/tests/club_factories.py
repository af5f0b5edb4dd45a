"""Clubs, merchants and items of the shop to test with, and their use cases as one step each."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from chassis.calendar import Calendar, Period
from chassis.ids import new_id
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Work
from member.domain.club import Club, ClubId, ClubMembership
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.merchant import (
    Merchant,
    MerchantId,
    MerchantShop,
    ShopId,
    TierDiscount,
    VerificationId,
    hash_of,
    new_code,
)
from member.domain.program import GENERAL, TierId
from member.domain.settlement import MerchantLine, Sale
from member.domain.shop import Item, ItemId, ItemKind, ItemText, Order, OrderId, TierPrice
from member.store.shop import StockChange
from member.use_cases import club_terms, clubs, merchant_sales, merchants, settlements, shop, shop_orders

from services.member.tests.factories import JANUARY, day

CALENDAR = Calendar(ZoneInfo("Asia/Shanghai"))
SUBJECT = "till-1"


def club(club_id: str = "golf", **changes: Any) -> Club:
    """A club that anybody may join, without end and without a fee."""
    values: dict[str, Any] = {
        "display_name": "Golf club",
        "program_id": GENERAL,
        "least_tier_id": None,
        "least_tenure_days": 0,
        "fee_points": 0,
        "capacity": 0,
        "needs_approval": False,
        "term_months": 0,
        "grace_days": 0,
        "closed": False,
    }
    return Club(ClubId(club_id), **values | changes)


async def put_club(work: Work, wanted: Club) -> Club:
    """A club put."""
    return await work.run(lambda transaction: clubs.put_club(transaction, clubs.PutClub(wanted, "boss")))


async def join(
    work: Work, who: str = "c-1", *, on: int = 1, club_id: str = "golf", renews: bool = True
) -> ClubMembership:
    """A club joined on a day."""
    command = clubs.JoinClub(ClubId(club_id), CustomerId(who), PersonId(""), renews, day(on))
    return await work.run(lambda transaction: clubs.join_club(transaction, command, calendar=CALENDAR))


async def leave(work: Work, who: str = "c-1", *, on: int = 2, at_term_end: bool = False) -> ClubMembership:
    """The golf club left on a day."""
    command = clubs.LeaveClub(ClubId("golf"), CustomerId(who), PersonId(""), at_term_end, day(on))
    return await work.run(lambda transaction: clubs.leave_club(transaction, command))


async def approve(work: Work, membership: ClubMembership, *, on: int = 2) -> ClubMembership:
    """An applicant let in."""
    command = clubs.Decide(membership.club_membership_id, day(on))
    return await work.run(lambda transaction: clubs.approve_member(transaction, command, calendar=CALENDAR))


async def refuse(work: Work, membership: ClubMembership, *, on: int = 2) -> ClubMembership:
    """An applicant refused."""
    command = clubs.Decide(membership.club_membership_id, day(on))
    return await work.run(lambda transaction: clubs.refuse_member(transaction, command))


async def review(work: Work, at: datetime) -> tuple[int, int]:
    """Every round of what is due by an instant: renewed and ended."""
    renewed = ended = 0
    while True:
        done = await work.run(partial(club_terms.review_members, as_of=at, calendar=CALENDAR))
        if not done.looked_at:
            return renewed, ended
        renewed, ended = renewed + done.renewed, ended + done.ended


def merchant(merchant_id: str = "tea", **changes: Any) -> Merchant:
    """A tea shop: 5 % for silver, 10 % for gold, of which the operator bears a third or so."""
    values: dict[str, Any] = {
        "display_name": "Tea house",
        "contact": "400 800 1234",
        "shops": (MerchantShop(ShopId("centre"), "Centre", "1 Main Street"),),
        "subjects": (SUBJECT,),
        "program_id": GENERAL,
        "discounts": (TierDiscount(TierId("silver"), 500), TierDiscount(TierId("gold"), 1000)),
        "currency": "CNY",
        "product_families": (),
        "sale_discount_cap_minor": 0,
        "month_discount_cap_minor": 0,
        "operator_share_basis_points": 3_333,
        "earn_rate_percent": 0,
        "settlement_period": Period.MONTH,
        "valid_from": JANUARY,
        "valid_until": None,
        "suspended": False,
    }
    return Merchant(MerchantId(merchant_id), **values | changes)


async def put_merchant(work: Work, wanted: Merchant) -> Merchant:
    """A merchant put."""
    command = merchants.PutMerchant(wanted, "boss")
    return await work.run(lambda transaction: merchants.put_merchant(transaction, command))


async def issue(work: Work, who: str = "c-1", *, ttl_seconds: int = 120) -> str:
    """A code of a customer."""
    code = new_code()
    command = merchants.IssueCode(new_id(), hash_of(code), Holder(CustomerId(who), GENERAL), ttl_seconds)
    await work.run(lambda transaction: merchants.issue_code(transaction, command))
    return code


async def verify(work: Work, code: str, *, subject: str = SUBJECT, shop_id: str = "") -> merchants.Verified | None:
    """A code verified by a till."""
    command = merchants.VerifyCode(subject, hash_of(code), ShopId(shop_id))
    return await work.run(lambda transaction: merchants.verify_code(transaction, command))


async def verified(work: Work, who: str = "c-1", *, subject: str = SUBJECT) -> VerificationId:
    """A verification of a fresh code of a customer."""
    found = await verify(work, await issue(work, who), subject=subject)
    assert found is not None
    return found.verification.verification_id


def sale(verification_id: VerificationId, amount_minor: int = 1000, **changes: Any) -> Sale:
    """A sale on day 3."""
    values: dict[str, Any] = {"receipt_number": new_id(), "product_family": "", "occurred_at": day(3)}
    values |= {"amount": Money(amount_minor, "CNY")}
    return Sale(verification_id, **values | changes)


async def sell(
    work: Work, wanted: Sale, *, subject: str = SUBJECT, back: timedelta = timedelta(days=365)
) -> MerchantLine:
    """A sale recorded by a till, which is dated up to a year before the code was verified."""
    command = merchant_sales.RecordSale(subject, wanted)
    record = partial(merchant_sales.record_sale, calendar=CALENDAR, back=back, ahead=timedelta(minutes=5))
    return await work.run(lambda transaction: record(transaction, command))


async def take_back(work: Work, receipt_number: str, *, on: int = 4, subject: str = SUBJECT) -> MerchantLine:
    """A sale taken back by a till."""
    command = merchant_sales.ReverseSale(subject, receipt_number, day(on))
    return await work.run(lambda transaction: merchant_sales.reverse_sale(transaction, command))


async def settlement(work: Work, at: datetime, *, merchant_id: str = "tea") -> settlements.Settlement:
    """The settlement of a merchant around an instant."""
    asked = settlements.SettlementAsked(merchant_id, None, at)
    async with work.reading() as connection:
        return await settlements.get_settlement(connection, asked, Page(500, None), calendar=CALENDAR)


async def close(work: Work, at: datetime) -> int:
    """Every round of periods that have ended: how many were closed."""
    closed = 0
    while True:
        done = await work.run(partial(settlements.close_settlements, as_of=at, calendar=CALENDAR))
        if not done.merchants:
            return closed
        closed += done.periods


def item(item_id: str = "cup", **changes: Any) -> Item:
    """A gift that costs standard members 100 points and gold members 80."""
    values: dict[str, Any] = {
        "kind": ItemKind.GIFT,
        "texts": (ItemText("zh-CN", "杯子", ""), ItemText("en", "Cup", "A cup.")),
        "picture_url": "https://example.com/cup.png",
        "program_id": GENERAL,
        "prices": (TierPrice(TierId("standard"), 100), TierPrice(TierId("gold"), 80)),
        "per_member_limit": 0,
        "template_id": "",
        "fulfil_within_days": 10,
        "valid_from": JANUARY,
        "valid_until": None,
        "withdrawn": False,
    }
    if changes.get("kind", ItemKind.GIFT) is not ItemKind.GIFT:
        values["fulfil_within_days"] = 0
    return Item(ItemId(item_id), **values | changes)


async def put_item(work: Work, wanted: Item, *, stock: int = 0) -> Item:
    """An item put, with so many in stock."""
    put = await work.run(lambda transaction: shop.put_item(transaction, shop.PutItem(wanted, "boss")))
    return await stocked(work, stock, item_id=wanted.item_id) if stock else put


async def stocked(work: Work, change: int, *, item_id: str = "cup", name: str = "") -> Item:
    """A stock changed."""
    command = shop.ChangeStock(StockChange(name or new_id(), ItemId(item_id), change, "counted"), "boss")
    return await work.run(lambda transaction: shop.change_stock(transaction, command))


async def order(work: Work, who: str = "c-1", *, on: int = 2, item_id: str = "cup", **changes: Any) -> Order:
    """An item ordered on a day."""
    values: dict[str, Any] = {"source": new_id(), "person_id": PersonId(""), "points_expected": 0} | changes
    command = shop_orders.PlaceOrder(
        customer_id=CustomerId(who), item_id=ItemId(item_id), occurred_at=day(on), **values
    )
    return await work.run(lambda transaction: shop_orders.place_order(transaction, command, calendar=CALENDAR))


async def cancel(work: Work, order_id: OrderId, *, on: int = 3, who: str | None = "c-1") -> Order:
    """An order cancelled by its customer."""
    command = shop_orders.EndOrder(order_id, None if who is None else CustomerId(who), day(on))
    return await work.run(lambda transaction: shop_orders.cancel_order(transaction, command))


async def fulfil(work: Work, order_id: OrderId, *, on: int = 3) -> Order:
    """An order fulfilled."""
    command = shop_orders.EndOrder(order_id, None, day(on))
    return await work.run(lambda transaction: shop_orders.fulfil_order(transaction, command))


async def cancel_overdue(work: Work, number: int) -> int:
    """One round of overdue orders cancelled on a day."""
    return await work.run(partial(shop_orders.cancel_overdue, as_of=day(number)))
