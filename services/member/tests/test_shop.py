"""The rewards shop on the real database: prices by tier, stock under races, orders and their ends."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Work
from ledger import InsufficientBalance
from member.domain.coupon_template import Limits
from member.domain.membership import Holder, MemberNotFound
from member.domain.program import GENERAL, TierId
from member.domain.shop import (
    CodeKnown,
    ItemId,
    ItemKind,
    ItemKindFixed,
    ItemLimitReached,
    ItemNotFound,
    ItemNotOffered,
    NotAnItemOfCodes,
    NotForYourTier,
    Obstacle,
    Offer,
    OrderEnded,
    OrderId,
    OrderNotFound,
    OrderOverdue,
    OrderState,
    OutOfStock,
    PriceChanged,
    StockTooLow,
    TierPrice,
)
from member.use_cases import shop

from services.member.tests.club_factories import cancel, cancel_overdue, fulfil, item, order, put_item, stocked
from services.member.tests.coupon_steps import activated, terms
from services.member.tests.factories import award, awarded, day, enrolled, rows, scalar, told
from services.member.tests.steps import C1, balance, evaluate, expire, prove


async def rich(work: Work, *ids: str, points: int = 250) -> None:
    """Members with so many points from day 1 on."""
    await enrolled(work, *ids)
    await awarded(work, *(award(points, at=day(1), customer_id=each) for each in ids))


async def add_codes(work: Work, *codes: str, item_id: str = "game") -> Any:
    """Codes added."""
    command = shop.AddCodes(ItemId(item_id), codes, "boss")
    return await work.run(lambda transaction: shop.add_codes(transaction, command))


async def browsed(work: Work, *, on: int = 2, after: str | None = None, size: int = 50) -> list[Offer]:
    """What c-1 sees on a day."""
    async with work.reading() as connection:
        shelf = await shop.browse(connection, shop.Browse(Holder(C1, GENERAL), day(on)), Page(size, after))
    return shelf.offers


async def test_an_item_is_put_and_its_stock_counted_apart(work: Work) -> None:
    put = await put_item(work, item(), stock=5)
    assert (put.stock, put.revision) == (5, 1)
    assert (await put_item(work, item())).revision == 1
    assert (await put_item(work, item(per_member_limit=2))).stock == 5
    assert (await stocked(work, -5)).stock == 0
    with pytest.raises(StockTooLow):
        await stocked(work, -1)
    with pytest.raises(ItemKindFixed):
        await put_item(work, item(kind=ItemKind.CODE))
    with pytest.raises(NotAnItemOfCodes):
        await add_codes(work, "A", item_id="cup")
    with pytest.raises(ItemNotFound):
        await stocked(work, 1, item_id="none")
    with pytest.raises(InvalidArgument):
        await put_item(work, item(prices=(TierPrice(TierId("none"), 1),)))
    assert await rows(work, "SELECT change, put_by FROM shop_stock_changes ORDER BY change_id") == [
        (5, "boss"),
        (-5, "boss"),
    ]
    await prove(work)


async def test_a_gift_is_held_then_spent_when_it_is_handed_over(work: Work) -> None:
    await rich(work, "c-1")
    await put_item(work, item(), stock=1)
    placed = await order(work)
    assert (placed.state, placed.points, placed.fulfil_until) == (OrderState.OPEN, 100, day(12))
    assert await balance(work) == (250, 100)
    with pytest.raises(OutOfStock):
        await order(work)
    done = await fulfil(work, placed.order_id)
    assert (done.state, done.ended_at, await balance(work)) == (OrderState.FULFILLED, day(3), (150, 0))
    for end in (fulfil(work, placed.order_id), cancel(work, placed.order_id)):
        with pytest.raises(OrderEnded):
            await end
    assert (await told(work, "ShopOrderChanged"), await told(work, "PointsRedeemed")) == (2, 1)
    await prove(work)


async def test_a_cancelled_order_gives_points_and_stock_back(work: Work) -> None:
    await rich(work, "c-1", "c-2")
    await put_item(work, item(), stock=1)
    placed = await order(work)
    with pytest.raises(OrderNotFound):
        await cancel(work, placed.order_id, who="c-2")
    with pytest.raises(OrderNotFound):
        await cancel(work, OrderId("none"))
    assert (await cancel(work, placed.order_id)).state is OrderState.CANCELLED
    assert await balance(work) == (250, 0)
    assert (await order(work, "c-2")).state is OrderState.OPEN
    await prove(work)


async def test_what_an_order_is_refused_for(work: Work) -> None:
    await rich(work, "c-1", points=99)
    await put_item(work, item(per_member_limit=1), stock=5)
    with pytest.raises(InsufficientBalance):
        await order(work)
    assert (await rows(work, "SELECT stock FROM shop_items")) == [(5,)]
    await awarded(work, award(200, at=day(1)))
    with pytest.raises(PriceChanged) as changed:
        await order(work, points_expected=80)
    assert changed.value.metadata == {"points": "100"}
    with pytest.raises(ItemNotFound):
        await order(work, item_id="none")
    with pytest.raises(MemberNotFound):
        await order(work, "nobody")
    await order(work, points_expected=100)
    with pytest.raises(ItemLimitReached):
        await order(work)
    for offered in ({"withdrawn": True}, {"valid_from": day(3)}, {"valid_until": day(2)}):
        await put_item(work, item(**offered))
        with pytest.raises(ItemNotOffered):
            await order(work)
    await put_item(work, item(prices=(TierPrice(TierId("gold"), 1),)))
    with pytest.raises(NotForYourTier):
        await order(work)


async def test_a_change_of_price_never_hits_an_order_that_is_placed(work: Work) -> None:
    await rich(work, "c-1")
    await put_item(work, item(), stock=2)
    placed = await order(work)
    await put_item(work, item(prices=(TierPrice(TierId("standard"), 150),)))
    assert (await fulfil(work, placed.order_id)).points == 100
    assert (await balance(work), (await order(work)).points) == ((150, 0), 150)


async def test_each_tier_pays_its_own_price(work: Work) -> None:
    await rich(work, "c-1", "c-2", points=1000)
    await evaluate(work, 1)
    await enrolled(work, "c-3")
    await put_item(work, item(), stock=5)
    assert (await order(work)).points == 80
    with pytest.raises(InsufficientBalance):
        await order(work, "c-3")


async def test_two_hundred_takers_of_the_last_item(work: Work) -> None:
    ids = [f"c-{number}" for number in range(200)]
    await rich(work, *ids)
    await put_item(work, item(), stock=1)
    outcomes = await asyncio.gather(*(order(work, each) for each in ids), return_exceptions=True)
    kinds = [type(each).__name__ for each in outcomes]
    assert (kinds.count("Order"), kinds.count("OutOfStock")) == (1, 199), set(kinds)
    assert await rows(work, "SELECT stock FROM shop_items") == [(0,)]
    await prove(work)


async def test_a_members_limit_holds_for_orders_made_at_once(work: Work) -> None:
    await rich(work, "c-1", points=2000)
    await put_item(work, item(per_member_limit=3), stock=20)
    outcomes = await asyncio.gather(*(order(work) for _ in range(12)), return_exceptions=True)
    kinds = [type(each).__name__ for each in outcomes]
    assert (kinds.count("Order"), kinds.count("ItemLimitReached")) == (3, 9), set(kinds)


async def test_codes_of_others_are_given_at_once_each_to_one(work: Work) -> None:
    ids = [f"c-{number}" for number in range(6)]
    await rich(work, *ids)
    await put_item(work, item("game", kind=ItemKind.CODE))
    assert (await add_codes(work, "AAA", "BBB", "CCC")).stock == 3
    with pytest.raises(CodeKnown):
        await add_codes(work, "DDD", "AAA")
    with pytest.raises(NotAnItemOfCodes):
        await stocked(work, 1, item_id="game")
    outcomes = await asyncio.gather(*(order(work, each, item_id="game") for each in ids), return_exceptions=True)
    given = [each for each in outcomes if not isinstance(each, BaseException)]
    assert sorted(each.code for each in given) == ["AAA", "BBB", "CCC"]
    assert {(each.state, each.points) for each in given} == {(OrderState.FULFILLED, 100)}
    payloads = await rows(work, "SELECT payload FROM outbox WHERE event_type LIKE '%ShopOrderChanged'")
    assert len(payloads) == 3
    assert not [row for row in payloads for code in (b"AAA", b"BBB", b"CCC") if code in row[0]]
    await prove(work)


async def test_a_coupon_is_issued_and_paid_in_one_go_or_not_at_all(work: Work) -> None:
    await rich(work, "c-1", points=500)
    await activated(work, terms(limits=Limits(issued=1)))
    await put_item(work, item("off", kind=ItemKind.CASH_OFF, template_id="t-1"), stock=5)
    placed = await order(work, item_id="off")
    issued = await scalar(work, "SELECT coupon_id FROM coupons")
    assert (placed.state, placed.coupon_id) == (OrderState.FULFILLED, issued)
    assert await balance(work) == (400, 0)
    with pytest.raises(Refusal) as refused:
        await order(work, item_id="off")
    assert refused.value.reason == "STOCK_EXHAUSTED"
    assert (await balance(work), await rows(work, "SELECT stock FROM shop_items")) == ((400, 0), [(4,)])
    await prove(work)


async def test_nobody_fulfilled_in_time_and_all_goes_back(work: Work) -> None:
    await rich(work, "c-1", "c-2")
    await put_item(work, item(), stock=3)
    late, ended = await order(work), await order(work, on=4)
    with pytest.raises(OrderOverdue):
        await fulfil(work, late.order_id, on=12)
    assert await cancel_overdue(work, 11) == 0
    assert await cancel_overdue(work, 12) == 1
    assert await rows(work, "SELECT ended_at FROM shop_orders WHERE state = 'cancelled'") == [(day(12),)]
    assert await balance(work, on=12) == (250, 100)
    await expire(work, 14)
    with pytest.raises(OrderOverdue):
        await fulfil(work, ended.order_id, on=13)
    assert (await cancel(work, ended.order_id, on=13)).state is OrderState.CANCELLED
    assert await balance(work) == (250, 0)
    assert await rows(work, "SELECT stock FROM shop_items") == [(3,)]
    await prove(work)


async def test_fulfilled_and_cancelled_at_once_is_one_of_them(work: Work) -> None:
    await rich(work, "c-1", points=1000)
    await put_item(work, item(), stock=10)
    for _ in range(5):
        placed = await order(work)
        ends = [end(work, placed.order_id) for end in (fulfil, cancel, fulfil, cancel)]
        outcomes = await asyncio.gather(*ends, return_exceptions=True)
        assert [type(each).__name__ for each in outcomes].count("OrderEnded") == 3, outcomes
    await prove(work)


async def test_a_member_sees_what_can_be_had_and_what_is_in_the_way(work: Work) -> None:
    await rich(work, "c-1", points=120)
    await put_item(work, item("a-cup", per_member_limit=1), stock=2)
    await put_item(work, item("b-ball", prices=(TierPrice(TierId("gold"), 10),)), stock=2)
    await put_item(work, item("c-car", prices=(TierPrice(TierId("standard"), 10_000),)))
    await put_item(work, item("d-old", valid_until=day(2)), stock=2)
    await put_item(work, item("e-gone", withdrawn=True), stock=2)
    first = await browsed(work)
    assert [(each.item.item_id, each.points, each.obstacles, each.points_missing) for each in first] == [
        ("a-cup", 100, (), 0),
        ("b-ball", None, (Obstacle.NOT_FOR_YOUR_TIER,), 0),
        ("c-car", 10_000, (Obstacle.OUT_OF_STOCK, Obstacle.NOT_ENOUGH_POINTS), 9_880),
    ]
    await order(work, item_id="a-cup")
    (again,) = await browsed(work, size=0)
    assert (again.obstacles, again.points_missing) == ((Obstacle.LIMIT_REACHED, Obstacle.NOT_ENOUGH_POINTS), 80)
    assert [each.item.item_id for each in await browsed(work, on=1, after="b-ball")] == ["c-car", "d-old"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_stock_and_orders_are_what_was_stocked_at_any_moment(work: Work, seed: int) -> None:
    """Random orders, ends and changes of stock: stock, open and fulfilled orders are what was put into stock, and the
    points held and spent are those of the orders."""
    dice = random.Random(seed)
    await rich(work, "c-1", "c-2", points=2000)
    await put_item(work, item(), stock=3)
    placed: list[OrderId] = []
    initial, now = 3, 2
    for step in range(30):
        now += dice.randrange(2)
        known = dice.choice(placed) if placed else OrderId("none")
        with suppress(Refusal):
            match dice.choice(["order", "order", "fulfil", "cancel", "overdue", "stock"]):
                case "order":
                    placed.append((await order(work, dice.choice(["c-1", "c-2"]), on=now)).order_id)
                case "fulfil":
                    await fulfil(work, known, on=now)
                case "cancel":
                    await cancel(work, known, on=now, who=None)
                case "overdue":
                    await cancel_overdue(work, now)
                case "stock":
                    change = dice.choice([-2, -1, 1, 2])
                    await stocked(work, change)
                    initial += change
        ((stock, stocked_),) = await rows(work, "SELECT stock, stocked FROM shop_items")
        states = dict(await rows(work, "SELECT state, count(*) FROM shop_orders GROUP BY state"))
        assert stock >= 0
        assert stock + states.get("open", 0) + states.get("fulfilled", 0) == stocked_ == initial, step
    spent = await scalar(work, "SELECT coalesce(sum(points), 0) FROM shop_orders WHERE state = 'fulfilled'")
    left = await scalar(work, "SELECT sum(balance) FROM ledger_accounts WHERE id LIKE 'points:%'")
    assert left == 4000 - spent
    await prove(work)


async def test_a_request_orders_and_stocks_once_however_late_it_comes_again(work: Work) -> None:
    await rich(work, "c-1")
    await put_item(work, item(), stock=5)
    first = await order(work, source="ordered")
    assert await order(work, source="ordered") == first
    ended = await cancel(work, first.order_id)
    assert await order(work, source="ordered") == ended
    assert (await balance(work), await scalar(work, "SELECT count(*) FROM shop_orders")) == ((250, 0), 1)
    assert (await stocked(work, 3, name="delivered")).stock == 8
    assert (await stocked(work, 3, name="delivered")).stock == 8
    await prove(work)
