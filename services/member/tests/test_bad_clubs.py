"""Bad input of every method of clubs, merchants and the shop: each refusal names its field or reason, nothing is
stored."""

from typing import Any

from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import (
    club_pb2,
    club_service_pb2,
    merchant_pb2,
    merchant_service_pb2,
    shop_pb2,
    shop_service_pb2,
)

from services.member.tests.calls import Stubs, become_member, methods_of, refuses_bad_input
from services.member.tests.factories import JANUARY, day

LARGEST = 2**63 - 1
UNKNOWN_STATE: Any = 77
OUT_OF_RANGE = Timestamp(seconds=-1)
WORST_TEXT = "a\x00b"


def club_request(**changes: Any) -> club_service_pb2.PutClubRequest:
    """A club put."""
    values: dict[str, Any] = {"club_id": "golf", "display_name": "Golf"}
    return club_service_pb2.PutClubRequest(request_id=new_id(), club=club_pb2.Club(**values | changes))


def merchant_request(**changes: Any) -> merchant_service_pb2.PutMerchantRequest:
    """A merchant put."""
    values: dict[str, Any] = {
        "merchant_id": "tea",
        "display_name": "Tea house",
        "subjects": ["boss"],
        "currency": "CNY",
        "settlement_period": merchant_pb2.SETTLEMENT_PERIOD_MONTH,
        "valid_from": to_proto(JANUARY),
    }
    merchant = merchant_pb2.Merchant(**values | changes)
    return merchant_service_pb2.PutMerchantRequest(request_id=new_id(), merchant=merchant)


def item_request(**changes: Any) -> shop_service_pb2.PutShopItemRequest:
    """An item put."""
    values: dict[str, Any] = {
        "item_id": "cup",
        "kind": shop_pb2.SHOP_ITEM_KIND_GIFT,
        "texts": [shop_pb2.ShopItemText(language="en", title="Cup")],
        "prices": [shop_pb2.ShopItemPrice(tier_id="standard", points=100)],
        "fulfil_within_days": 10,
        "valid_from": to_proto(JANUARY),
    }
    return shop_service_pb2.PutShopItemRequest(request_id=new_id(), item=shop_pb2.ShopItem(**values | changes))


def timed(kind: Any, **changes: Any) -> Any:
    """A request of a customer at a time."""
    values: dict[str, Any] = {"request_id": new_id(), "occurred_at": to_proto(day(1))}
    if "customer_id" in kind.DESCRIPTOR.fields_by_name:
        values["customer_id"] = "c-1"
    return kind(**values | changes)


def sale_request(**changes: Any) -> merchant_service_pb2.RecordMerchantSaleRequest:
    """A sale recorded."""
    values: dict[str, Any] = {
        "verification_id": "v-1",
        "receipt_number": "r-1",
        "amount": Money(minor_units=100, currency="CNY"),
    }
    request: merchant_service_pb2.RecordMerchantSaleRequest = timed(
        merchant_service_pb2.RecordMerchantSaleRequest, **values | changes
    )
    return request


SHOP = merchant_pb2.MerchantShop
DISCOUNT = merchant_pb2.MerchantDiscount
TEXT = shop_pb2.ShopItemText
PRICE = shop_pb2.ShopItemPrice
CUP = shop_pb2.ShopItemText(language="en", title="Cup")
JOIN, LEAVE = club_service_pb2.JoinClubRequest, club_service_pb2.LeaveClubRequest
APPROVE, REFUSE = club_service_pb2.ApproveClubMemberRequest, club_service_pb2.RefuseClubMemberRequest
ORDER, CANCEL = shop_service_pb2.PlaceShopOrderRequest, shop_service_pb2.CancelShopOrderRequest
FULFIL, BROWSE = shop_service_pb2.FulfilShopOrderRequest, shop_service_pb2.BrowseShopRequest
STOCK, CODES = shop_service_pb2.ChangeShopStockRequest, shop_service_pb2.AddShopCodesRequest
CODE, VERIFY = merchant_service_pb2.IssueMemberCodeRequest, merchant_service_pb2.VerifyMemberCodeRequest
BACK, SETTLED = merchant_service_pb2.ReverseMerchantSaleRequest, merchant_service_pb2.GetSettlementRequest

BAD: list[tuple[str, Message, list[str]]] = [
    ("PutClub", club_request(club_id="a b"), ["club.club_id"]),
    ("PutClub", club_request(display_name=WORST_TEXT), ["club.display_name"]),
    ("PutClub", club_request(program_id="/"), ["club.program_id"]),
    ("PutClub", club_request(least_tier_id="none"), ["club.least_tier_id"]),
    ("PutClub", club_request(fee_points=LARGEST, capacity=-1), ["club.fee_points", "club.capacity"]),
    ("PutClub", club_request(least_tenure_days=-1, term_months=121), ["club.least_tenure_days", "club.term_months"]),
    ("PutClub", club_request(grace_days=367), ["club.grace_days"]),
    ("PutClub", club_service_pb2.PutClubRequest(club=club_request().club), ["request_id"]),
    ("GetClub", club_service_pb2.GetClubRequest(club_id="'; DROP TABLE clubs"), ["club_id"]),
    ("ListClubs", club_service_pb2.ListClubsRequest(page_size=501), ["page_size"]),
    ("ListClubs", club_service_pb2.ListClubsRequest(page_token="§"), ["page_token"]),
    ("JoinClub", timed(JOIN, club_id="golf", customer_id="c 1"), ["customer_id"]),
    ("JoinClub", timed(JOIN, club_id=""), ["club_id"]),
    ("JoinClub", timed(JOIN, club_id="golf", person_id="p\x001"), ["person_id"]),
    ("JoinClub", timed(JOIN, club_id="golf", occurred_at=None), ["occurred_at"]),
    ("JoinClub", timed(JOIN, club_id="golf", request_id="r 1"), ["request_id"]),
    ("LeaveClub", timed(LEAVE, club_id="g" * 65), ["club_id"]),
    ("LeaveClub", timed(LEAVE, club_id="golf", occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("ApproveClubMember", timed(APPROVE, club_membership_id=""), ["club_membership_id"]),
    ("ApproveClubMember", timed(APPROVE, club_membership_id="m", occurred_at=None), ["occurred_at"]),
    ("RefuseClubMember", timed(REFUSE, club_membership_id="-"), ["club_membership_id"]),
    ("ListMemberClubs", club_service_pb2.ListMemberClubsRequest(), ["customer_id"]),
    ("ListMemberClubs", club_service_pb2.ListMemberClubsRequest(customer_id="c-1", page_size=-1), ["page_size"]),
    ("ListClubMembers", club_service_pb2.ListClubMembersRequest(club_id=""), ["club_id"]),
    ("ListClubMembers", club_service_pb2.ListClubMembersRequest(club_id="golf", state=UNKNOWN_STATE), ["state"]),
    ("ReviewClubMembers", club_service_pb2.ReviewClubMembersRequest(request_id="r"), ["as_of"]),
    ("ReviewClubMembers", club_service_pb2.ReviewClubMembersRequest(as_of=to_proto(day(1))), ["request_id"]),
    ("PutMerchant", merchant_request(merchant_id=""), ["merchant.merchant_id"]),
    ("PutMerchant", merchant_request(display_name=" "), ["merchant.display_name"]),
    ("PutMerchant", merchant_request(contact="x" * 201), ["merchant.contact"]),
    ("PutMerchant", merchant_request(shops=[SHOP(shop_id="a b")]), ["merchant.shops[0].shop_id"]),
    ("PutMerchant", merchant_request(shops=[SHOP(shop_id="a")]), ["merchant.shops[0].display_name"]),
    ("PutMerchant", merchant_request(subjects=["a", "a"]), ["merchant.subjects[1]"]),
    ("PutMerchant", merchant_request(subjects=[WORST_TEXT]), ["merchant.subjects[0]"]),
    ("PutMerchant", merchant_request(currency="yuan"), ["merchant.currency"]),
    (
        "PutMerchant",
        merchant_request(discounts=[DISCOUNT(tier_id="gold", basis_points=10_001)]),
        ["merchant.discounts[0].basis_points"],
    ),
    ("PutMerchant", merchant_request(discounts=[DISCOUNT(tier_id="none")]), ["merchant.discounts[0].tier_id"]),
    ("PutMerchant", merchant_request(product_families=["tea", "tea"]), ["merchant.product_families[1]"]),
    ("PutMerchant", merchant_request(sale_discount_cap_minor=-1), ["merchant.sale_discount_cap_minor"]),
    ("PutMerchant", merchant_request(month_discount_cap_minor=LARGEST), ["merchant.month_discount_cap_minor"]),
    ("PutMerchant", merchant_request(operator_share_basis_points=-1), ["merchant.operator_share_basis_points"]),
    ("PutMerchant", merchant_request(earn_rate_percent=10_001), ["merchant.earn_rate_percent"]),
    ("PutMerchant", merchant_request(settlement_period=0), ["merchant.settlement_period"]),
    ("PutMerchant", merchant_request(valid_from=None), ["merchant.valid_from"]),
    ("PutMerchant", merchant_request(valid_until=to_proto(JANUARY)), ["merchant.valid_until"]),
    ("GetMerchant", merchant_service_pb2.GetMerchantRequest(merchant_id="../x"), ["merchant_id"]),
    ("ListMerchants", merchant_service_pb2.ListMerchantsRequest(page_size=501), ["page_size"]),
    ("IssueMemberCode", CODE(request_id="r", customer_id=""), ["customer_id"]),
    ("IssueMemberCode", CODE(request_id="r", customer_id="c-1", program_id="a b"), ["program_id"]),
    ("IssueMemberCode", CODE(request_id="r", customer_id="c-1", ttl_seconds=601), ["ttl_seconds"]),
    ("IssueMemberCode", CODE(request_id="r", customer_id="c-1", ttl_seconds=-1), ["ttl_seconds"]),
    ("IssueMemberCode", CODE(customer_id="c-1"), ["request_id"]),
    ("VerifyMemberCode", VERIFY(request_id="r"), ["code"]),
    ("VerifyMemberCode", VERIFY(request_id="r", code="x" * 101), ["code"]),
    ("VerifyMemberCode", VERIFY(request_id="r", code="x", shop_id="a b"), ["shop_id"]),
    ("VerifyMemberCode", VERIFY(code="x"), ["request_id"]),
    ("RecordMerchantSale", sale_request(verification_id=""), ["verification_id"]),
    ("RecordMerchantSale", sale_request(receipt_number="r 1"), ["receipt_number"]),
    ("RecordMerchantSale", sale_request(amount=Money(minor_units=0, currency="CNY")), ["amount.minor_units"]),
    ("RecordMerchantSale", sale_request(amount=Money(minor_units=-1, currency="CNY")), ["amount.minor_units"]),
    ("RecordMerchantSale", sale_request(amount=Money(minor_units=LARGEST, currency="CNY")), ["amount.minor_units"]),
    ("RecordMerchantSale", sale_request(amount=Money(minor_units=1, currency="cny")), ["amount.currency"]),
    ("RecordMerchantSale", sale_request(product_family="a b"), ["product_family"]),
    ("RecordMerchantSale", sale_request(occurred_at=None), ["occurred_at"]),
    ("ReverseMerchantSale", timed(BACK, receipt_number=""), ["receipt_number"]),
    ("ReverseMerchantSale", timed(BACK, receipt_number="r", occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("GetSettlement", SETTLED(merchant_id="a b"), ["merchant_id"]),
    ("GetSettlement", SETTLED(), ["merchant_id"]),
    ("GetSettlement", SETTLED(merchant_id="tea", at=OUT_OF_RANGE), ["at"]),
    ("GetSettlement", SETTLED(merchant_id="tea", page_token="§"), ["page_token"]),
    ("CloseSettlements", merchant_service_pb2.CloseSettlementsRequest(request_id="r"), ["as_of"]),
    ("PutShopItem", item_request(item_id="a b"), ["item.item_id"]),
    ("PutShopItem", item_request(kind=0), ["item.kind"]),
    ("PutShopItem", item_request(texts=[]), ["item.texts"]),
    (
        "PutShopItem",
        item_request(texts=[TEXT(language="e", title="")]),
        ["item.texts[0].language", "item.texts[0].title"],
    ),
    (
        "PutShopItem",
        item_request(texts=[TEXT(language="en", title="a"), TEXT(language="EN", title="b")]),
        ["item.texts[1].language"],
    ),
    ("PutShopItem", item_request(picture_url="http://example.com/x.png"), ["item.picture_url"]),
    ("PutShopItem", item_request(picture_url="https://a@b/\n"), ["item.picture_url"]),
    ("PutShopItem", item_request(prices=[]), ["item.prices"]),
    ("PutShopItem", item_request(prices=[PRICE(tier_id="gold", points=0)]), ["item.prices[0].points"]),
    ("PutShopItem", item_request(prices=[PRICE(tier_id="none", points=1)]), ["item.prices[0].tier_id"]),
    ("PutShopItem", item_request(per_member_limit=-1), ["item.per_member_limit"]),
    ("PutShopItem", item_request(coupon_template_id="t"), ["item.coupon_template_id"]),
    (
        "PutShopItem",
        item_request(kind=shop_pb2.SHOP_ITEM_KIND_COUPON, fulfil_within_days=0),
        ["item.coupon_template_id"],
    ),
    ("PutShopItem", item_request(fulfil_within_days=0), ["item.fulfil_within_days"]),
    ("PutShopItem", item_request(valid_from=OUT_OF_RANGE), ["item.valid_from"]),
    ("GetShopItem", shop_service_pb2.GetShopItemRequest(item_id="\x00"), ["item_id"]),
    ("ListShopItems", shop_service_pb2.ListShopItemsRequest(page_size=-1), ["page_size"]),
    ("ChangeShopStock", STOCK(request_id="r", item_id="cup", change=0, reason="x"), ["change"]),
    ("ChangeShopStock", STOCK(request_id="r", item_id="cup", change=-LARGEST, reason="x"), ["change"]),
    ("ChangeShopStock", STOCK(request_id="r", item_id="cup", change=1), ["reason"]),
    ("AddShopCodes", CODES(request_id="r", item_id="cup"), ["codes"]),
    ("AddShopCodes", CODES(request_id="r", item_id="cup", codes=["a"] * 1001), ["codes"]),
    ("AddShopCodes", CODES(request_id="r", item_id="cup", codes=[WORST_TEXT]), ["codes[0]"]),
    ("BrowseShop", BROWSE(customer_id=""), ["customer_id"]),
    ("BrowseShop", BROWSE(customer_id="c-1", language="x" * 36), ["language"]),
    ("BrowseShop", BROWSE(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("PlaceShopOrder", timed(ORDER, item_id=""), ["item_id"]),
    ("PlaceShopOrder", timed(ORDER, item_id="cup", points_expected=-1), ["points_expected"]),
    ("PlaceShopOrder", timed(ORDER, item_id="cup", occurred_at=None), ["occurred_at"]),
    ("CancelShopOrder", timed(CANCEL, order_id="a b"), ["order_id"]),
    ("CancelShopOrder", timed(CANCEL, order_id="o", customer_id=""), ["customer_id"]),
    ("FulfilShopOrder", timed(FULFIL, order_id=""), ["order_id"]),
    ("ListShopOrders", shop_service_pb2.ListShopOrdersRequest(customer_id="/"), ["customer_id"]),
    ("ListOrdersToFulfil", shop_service_pb2.ListOrdersToFulfilRequest(item_id="/"), ["item_id"]),
    ("CancelOverdueOrders", shop_service_pb2.CancelOverdueOrdersRequest(request_id="r"), ["as_of"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetClub", club_service_pb2.GetClubRequest(club_id="none"), "CLUB_NOT_FOUND"),
    ("PutClub", club_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("JoinClub", timed(JOIN, club_id="none"), "CLUB_NOT_FOUND"),
    ("LeaveClub", timed(LEAVE, club_id="none"), "CLUB_NOT_FOUND"),
    ("ApproveClubMember", timed(APPROVE, club_membership_id="none"), "CLUB_MEMBERSHIP_NOT_FOUND"),
    ("RefuseClubMember", timed(REFUSE, club_membership_id="none"), "CLUB_MEMBERSHIP_NOT_FOUND"),
    ("ListClubMembers", club_service_pb2.ListClubMembersRequest(club_id="none"), "CLUB_NOT_FOUND"),
    ("GetMerchant", merchant_service_pb2.GetMerchantRequest(merchant_id="none"), "MERCHANT_NOT_FOUND"),
    ("PutMerchant", merchant_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("IssueMemberCode", CODE(request_id="r", customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("VerifyMemberCode", VERIFY(request_id="r", code="x"), "TOKEN_OF_NO_MERCHANT"),
    ("RecordMerchantSale", sale_request(), "TOKEN_OF_NO_MERCHANT"),
    ("ReverseMerchantSale", timed(BACK, receipt_number="r-1"), "TOKEN_OF_NO_MERCHANT"),
    ("GetSettlement", SETTLED(merchant_id="none"), "MERCHANT_NOT_FOUND"),
    ("GetShopItem", shop_service_pb2.GetShopItemRequest(item_id="none"), "ITEM_NOT_FOUND"),
    ("PutShopItem", item_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("ChangeShopStock", STOCK(request_id="r", item_id="none", change=1, reason="x"), "ITEM_NOT_FOUND"),
    ("AddShopCodes", CODES(request_id="r", item_id="none", codes=["A"]), "ITEM_NOT_FOUND"),
    ("BrowseShop", BROWSE(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("PlaceShopOrder", timed(ORDER, item_id="none"), "ITEM_NOT_FOUND"),
    ("CancelShopOrder", timed(CANCEL, order_id="none"), "ORDER_NOT_FOUND"),
    ("FulfilShopOrder", timed(FULFIL, order_id="none"), "ORDER_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    services = (club_service_pb2, merchant_service_pb2, shop_service_pb2)
    assert methods_of(*services) == {name for name, _, _ in BAD}
