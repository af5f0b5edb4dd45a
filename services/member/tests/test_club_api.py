"""Clubs, merchants and the shop over real gRPC: members' own tokens, tills, codes that are told once, repeats."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from chassis.ids import new_id
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.times import to_proto
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import club_pb2, club_service_pb2, merchant_service_pb2, shop_pb2, shop_service_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import merchant_pb2 as merchants_pb

from services.member.tests.calls import SCOPES, Stubs, become_member, refused
from services.member.tests.factories import day, earn_request, rows, scalar, told
from services.member.tests.test_bad_clubs import (
    BACK,
    BROWSE,
    CANCEL,
    CODE,
    FULFIL,
    JOIN,
    ORDER,
    SETTLED,
    STOCK,
    VERIFY,
    club_request,
    item_request,
    merchant_request,
    sale_request,
    timed,
)


def app_of(served: Serving, customer_id: str) -> Stubs:
    """A member's app."""
    return Stubs.of(served.channel("member.read", "engagement.write", subject="app", customer_id=customer_id))


def till_of(served: Serving, subject: str = "till-1") -> Stubs:
    """A merchant's till."""
    return Stubs.of(served.channel("merchant.verify", subject=subject))


async def evaluated(boss: Stubs, number: int) -> None:
    """Tiers judged on a day."""
    request = membership_pb.EvaluateTiersRequest(request_id=new_id(), as_of=to_proto(day(number)))
    await boss.memberships.EvaluateTiers(request)


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_reaches_the_own_clubs_codes_and_orders_only(served: Serving, boss: Stubs) -> None:
    await become_member(boss, "c-1")
    await become_member(boss, "c-2")
    await boss.clubs.PutClub(club_request())
    agreed = merchant_request(subjects=["till-1"], operator_share_basis_points=3_333)
    assert (await boss.merchants.PutMerchant(agreed)).merchant.operator_share_basis_points == 3_333
    await boss.points.EarnPoints(earn_request(300, "c-2"))
    await boss.shop.PutShopItem(item_request())
    await boss.shop.ChangeShopStock(STOCK(request_id="s", item_id="cup", change=5, reason="counted"))
    order = timed(ORDER, customer_id="c-2", item_id="cup", occurred_at=to_proto(day(2)))
    placed = await boss.shop.PlaceShopOrder(order)
    app = app_of(served, "c-1")
    joined = await app.clubs.JoinClub(timed(JOIN, club_id="golf"))
    listed = await app.clubs.ListMemberClubs(club_service_pb2.ListMemberClubsRequest(customer_id="c-1"))
    assert list(listed.memberships) == [joined.membership]
    seen = await app.clubs.ListClubs(club_service_pb2.ListClubsRequest(customer_id="c-1"))
    assert [(each.club_id, each.members) for each in seen.clubs] == [("golf", 1)]
    asked = merchant_service_pb2.ListMerchantsRequest(customer_id="c-1")
    (shown,) = (await app.merchants.ListMerchants(asked)).merchants
    assert (shown.merchant_id, list(shown.subjects), shown.operator_share_basis_points) == ("tea", [], 0)
    for name, request in [
        ("JoinClub", timed(JOIN, club_id="golf", customer_id="c-2")),
        ("ListClubs", club_service_pb2.ListClubsRequest()),
        ("ListClubMembers", club_service_pb2.ListClubMembersRequest(club_id="golf")),
        ("IssueMemberCode", CODE(request_id="r", customer_id="c-2")),
        ("BrowseShop", BROWSE(customer_id="c-2")),
        ("CancelShopOrder", timed(CANCEL, customer_id="c-2", order_id=placed.order.order_id)),
        ("ListShopOrders", shop_service_pb2.ListShopOrdersRequest(customer_id="c-2")),
    ]:
        assert (await refused(app, name, request)).reason == "NOT_YOUR_CUSTOMER", name
    for name, request in [
        ("PutClub", club_request()),
        ("ApproveClubMember", timed(club_service_pb2.ApproveClubMemberRequest)),
        ("FulfilShopOrder", timed(FULFIL, order_id=placed.order.order_id)),
        ("VerifyMemberCode", VERIFY(request_id="r", code="x")),
        ("CloseSettlements", merchant_service_pb2.CloseSettlementsRequest()),
    ]:
        assert (await refused(app, name, request)).reason == "SCOPE_MISSING", name
    stolen = timed(CANCEL, order_id=placed.order.order_id)
    assert (await refused(app, "CancelShopOrder", stolen)).reason == "ORDER_NOT_FOUND"


async def test_a_code_is_told_once_and_is_in_no_table(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    app = app_of(served, "c-1")
    request = CODE(request_id="code-1", customer_id="c-1")
    told_code = await app.merchants.IssueMemberCode(request)
    plain = told_code.code.replace("-", "")
    assert (len(plain), told_code.qr_payload) == (16, f"touchstone:member-code:{plain}")
    assert (await refused(app, "IssueMemberCode", request)).reason == "CODE_TOLD_ALREADY"
    for table in ("handled_requests", "member_codes", "outbox"):
        text = str(await rows(served.work, f"SELECT {table}::text FROM {table}"))
        assert plain not in text
        assert plain.encode().hex() not in text
        assert told_code.code.encode().hex() not in text


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_till_learns_the_tier_but_never_who_it_is(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    discount = merchants_pb.MerchantDiscount(tier_id="standard", basis_points=1000)
    await boss.merchants.PutMerchant(merchant_request(subjects=["till-1"], discounts=[discount]))
    await boss.merchants.PutMerchant(merchant_request(merchant_id="coffee", subjects=["till-2"]))
    app, till, other = app_of(served, "c-1"), till_of(served), till_of(served, "till-2")
    issued = await app.merchants.IssueMemberCode(CODE(request_id="code-1", customer_id="c-1"))
    spoken = issued.code.lower().replace("0", "o").replace("1", "l")
    request = VERIFY(request_id="v-1", code=f" {spoken} ")
    answers = await asyncio.gather(*(till.merchants.VerifyMemberCode(request) for _ in range(10)))
    seen = answers[0]
    assert (seen.tier_name, seen.discount_basis_points) == ("Standard", 1000)
    assert {answer.SerializeToString() for answer in answers} == {seen.SerializeToString()}
    member_id = await scalar(served.work, "SELECT member_id FROM members")
    assert not {"c-1", member_id} & {str(value) for _, value in seen.ListFields()}
    again = VERIFY(request_id="v-2", code=issued.qr_payload)
    for _ in range(3):
        assert (await refused(till, "VerifyMemberCode", again)).reason == "CODE_NOT_VALID"
    assert await rows(served.work, "SELECT subject, failures FROM code_failures") == [("till-1", 1)]
    sold = await till.merchants.RecordMerchantSale(sale_request(verification_id=seen.verification_id))
    assert (sold.line.discount, sold.line.points) == (Money(minor_units=10, currency="CNY"), 0)
    own = await till.merchants.GetSettlement(SETTLED(at=to_proto(day(1))))
    assert (own.merchant_id, own.totals.sales, list(own.lines)) == ("tea", 1, [sold.line])
    assert (await refused(other, "GetSettlement", SETTLED(merchant_id="tea"))).reason == "MERCHANT_NOT_FOUND"
    assert (await refused(other, "ReverseMerchantSale", timed(BACK, receipt_number="r-1"))).reason == "SALE_NOT_FOUND"
    assert (await refused(till_of(served, "x"), "GetSettlement", SETTLED())).reason == "TOKEN_OF_NO_MERCHANT"


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_settlement_is_paged_with_the_totals_of_all(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.merchants.PutMerchant(merchant_request(subjects=["till-1"]))
    app, till = app_of(served, "c-1"), till_of(served)
    for number in range(5):
        issued = await app.merchants.IssueMemberCode(CODE(request_id=new_id(), customer_id="c-1"))
        seen = await till.merchants.VerifyMemberCode(VERIFY(request_id=new_id(), code=issued.code))
        sale = sale_request(verification_id=seen.verification_id, receipt_number=f"r-{number}")
        await till.merchants.RecordMerchantSale(sale)
    pages: list[Any] = []
    token = ""
    while not pages or token:
        request = SETTLED(merchant_id="tea", at=to_proto(day(1)), page_size=2, page_token=token)
        pages.append(await boss.merchants.GetSettlement(request))
        token = pages[-1].next_page_token
    assert [[line.receipt_number for line in page.lines] for page in pages] == [["r-0", "r-1"], ["r-2", "r-3"], ["r-4"]]
    assert {page.totals.sales for page in pages} == {5}
    close = merchant_service_pb2.CloseSettlementsRequest(request_id="close-1", as_of=to_proto(day(40)))
    closed = await boss.merchants.CloseSettlements(close)
    assert closed.periods == 1
    assert await boss.merchants.CloseSettlements(close) == closed
    assert (await boss.merchants.GetSettlement(SETTLED(merchant_id="tea", at=to_proto(day(1))))).closed


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_shops_and_the_operator_hands_over(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(250))
    texts = [
        shop_pb2.ShopItemText(language="en", title="Cup", description="A cup."),
        shop_pb2.ShopItemText(language="zh-CN", title="杯子"),
    ]
    await boss.shop.PutShopItem(item_request(texts=texts))
    await boss.shop.ChangeShopStock(STOCK(request_id="s", item_id="cup", change=2, reason="counted"))
    app = app_of(served, "c-1")
    shelf = await app.shop.BrowseShop(BROWSE(customer_id="c-1", language="zh", as_of=to_proto(day(2))))
    assert shelf.points_available == 250
    assert [(each.text.title, each.points, list(each.obstacles)) for each in shelf.offers] == [("杯子", 100, [])]
    request = timed(ORDER, item_id="cup", points_expected=100, occurred_at=to_proto(day(2)))
    answers = await asyncio.gather(*(app.shop.PlaceShopOrder(request) for _ in range(10)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    waiting = await boss.shop.ListOrdersToFulfil(shop_service_pb2.ListOrdersToFulfilRequest())
    assert list(waiting.orders) == [answers[0].order]
    done = timed(FULFIL, order_id=answers[0].order.order_id, occurred_at=to_proto(day(3)))
    assert (await boss.shop.FulfilShopOrder(done)).order.state == shop_pb2.SHOP_ORDER_STATE_FULFILLED
    mine = await app.shop.ListShopOrders(shop_service_pb2.ListShopOrdersRequest(customer_id="c-1"))
    assert [(each.state, each.revision) for each in mine.orders] == [(shop_pb2.SHOP_ORDER_STATE_FULFILLED, 2)]
    assert not (await boss.shop.ListOrdersToFulfil(shop_service_pb2.ListOrdersToFulfilRequest())).orders
    other = timed(ORDER, item_id="cup", occurred_at=to_proto(day(4)))
    await app.shop.PlaceShopOrder(other)
    overdue = shop_service_pb2.CancelOverdueOrdersRequest(request_id="o", as_of=to_proto(day(20)))
    assert (await boss.shop.CancelOverdueOrders(overdue)).cancelled == 1
    assert (await boss.shop.CancelOverdueOrders(overdue)).cancelled == 1
    assert (await boss.shop.GetShopItem(shop_service_pb2.GetShopItemRequest(item_id="cup"))).item.stock == 1


async def test_a_tier_lost_is_heard_of_and_ends_the_membership_after_the_grace(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(300))
    await evaluated(boss, 1)
    await boss.clubs.PutClub(club_request(least_tier_id="silver", grace_days=30))
    await boss.clubs.JoinClub(timed(JOIN, club_id="golf", occurred_at=to_proto(day(2))))
    await evaluated(boss, 366)
    await served.settle()
    listed = club_service_pb2.ListClubMembersRequest(club_id="golf", state=club_pb2.CLUB_MEMBERSHIP_STATE_ACTIVE)
    (held,) = (await boss.clubs.ListClubMembers(listed)).memberships
    assert held.lapses_at.ToDatetime(tzinfo=day(0).tzinfo) == day(366) + timedelta(days=30)
    review = club_service_pb2.ReviewClubMembersRequest(request_id="review", as_of=to_proto(day(396)))
    done = await boss.clubs.ReviewClubMembers(review)
    assert (done.ended, done.looked_at, await boss.clubs.ReviewClubMembers(review)) == (1, 1, done)
    assert not (await boss.clubs.ListClubMembers(listed)).memberships
    assert await told(served.work, "ClubMembershipChanged") == 3


async def test_a_method_asks_for_its_scope(served: Serving) -> None:
    reader = Stubs.of(served.channel("member.read"))
    writer = Stubs.of(served.channel(*(scope for scope in SCOPES if scope not in ("member.admin", "member.jobs"))))
    for name in ("JoinClub", "LeaveClub", "IssueMemberCode", "PlaceShopOrder", "CancelShopOrder", "VerifyMemberCode"):
        assert (await refused(reader, name, _empty(name))).reason == "SCOPE_MISSING", name
    for name in ("PutClub", "PutMerchant", "PutShopItem", "ChangeShopStock", "AddShopCodes", "ListOrdersToFulfil"):
        assert (await refused(writer, name, _empty(name))).reason == "SCOPE_MISSING", name
    for name in ("ReviewClubMembers", "CloseSettlements", "CancelOverdueOrders"):
        assert (await refused(writer, name, _empty(name))).reason == "SCOPE_MISSING", name


def _empty(name: str) -> Any:
    for module in (club_service_pb2, merchant_service_pb2, shop_service_pb2):
        if hasattr(module, f"{name}Request"):
            return getattr(module, f"{name}Request")()
    raise AssertionError(name)
