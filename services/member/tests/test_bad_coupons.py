"""Bad input of every method of CouponService: its field is named, and nothing is stored."""

from datetime import timedelta
from typing import Any

from chassis.errors import Code
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import coupon_pb2
from touchstone.member.v1 import coupon_service_pb2 as pb

from services.member.tests.calls import Stubs, become_member, methods_of, refused, refuses_bad_input
from services.member.tests.factories import day

LARGEST = 2**63 - 1
OUT_OF_RANGE = Timestamp(seconds=-1)
WHEN = to_proto(day(1))
TOO_LATE = to_proto(day(31) + timedelta(microseconds=1))
DAYS = coupon_pb2.CouponValidity(days=1)
MISTYPED = "0123456789ABCDE"
NONE: Any = 99  # a number that no enumeration has


def terms(**changes: Any) -> coupon_pb2.CouponTerms:
    """Terms as a caller sends them."""
    values: dict[str, Any] = {
        "display_name": "Ten off",
        "currency": "CNY",
        "discount": coupon_pb2.CouponDiscount(amount_off_minor_units=1000),
        "validity": DAYS,
    }
    return coupon_pb2.CouponTerms(**values | changes)


def put(**changes: Any) -> pb.PutCouponTemplateRequest:
    """A draft with these terms."""
    return pb.PutCouponTemplateRequest(request_id="r", template_id="t-1", terms=terms(**changes))


def order(**changes: Any) -> coupon_pb2.CouponOrder:
    """An order of one line."""
    line: dict[str, Any] = {"product_id": "p", "unit_price_minor_units": 100, "quantity": 1}
    return coupon_pb2.CouponOrder(currency="CNY", lines=[coupon_pb2.CouponOrderLine(**line | changes)])


def asked(kind: Any, **changes: Any) -> Any:
    """A request that is right but for the changes; what a request has no field for is left out."""
    values: dict[str, Any] = {
        "request_id": "r",
        "customer_id": "c-1",
        "template_id": "t-1",
        "batch_id": "b-1",
        "job_id": "j-1",
        "coupon_id": "k-1",
        "order_id": "o-1",
        "reason": "why",
        "occurred_at": WHEN,
        "count": 1,
    }
    if kind in (pb.ReserveCouponsRequest, pb.RedeemCouponsRequest, pb.QuoteCouponsRequest):
        values |= {"order": order(), "coupon_ids": ["k-1"], "expires_at": to_proto(day(2))}
    if kind is pb.QuoteCouponsRequest:
        values.pop("occurred_at")
    known = {field.name for field in kind.DESCRIPTOR.fields}
    return kind(**{name: value for name, value in (values | changes).items() if name in known})


PERCENT = coupon_pb2.CouponDiscount(percent_off=coupon_pb2.PercentOff(basis_points=10_001, cap_minor_units=-1))
FREE = coupon_pb2.CouponDiscount(free_product=coupon_pb2.FreeProduct(product_id="a b"))
AMOUNT = coupon_pb2.CouponDiscount(amount_off_minor_units=LARGEST)
SPAN = coupon_pb2.CouponValidity(fixed=coupon_pb2.CouponSpan(start=WHEN, end=OUT_OF_RANGE))

BAD: list[tuple[str, Message, list[str]]] = [
    ("PutCouponTemplate", pb.PutCouponTemplateRequest(request_id="r", template_id="t"), ["terms"]),
    ("PutCouponTemplate", asked(pb.PutCouponTemplateRequest, terms=terms(), template_id="a/b"), ["template_id"]),
    ("PutCouponTemplate", asked(pb.PutCouponTemplateRequest, terms=terms(), request_id=""), ["request_id"]),
    ("PutCouponTemplate", put(display_name="a\x00b", currency="yuan"), ["terms.display_name", "terms.currency"]),
    ("PutCouponTemplate", put(discount=coupon_pb2.CouponDiscount()), ["terms.discount"]),
    ("PutCouponTemplate", put(discount=AMOUNT), ["terms.discount.amount_off_minor_units"]),
    (
        "PutCouponTemplate",
        put(discount=PERCENT),
        ["terms.discount.percent_off.basis_points", "terms.discount.percent_off.cap_minor_units"],
    ),
    ("PutCouponTemplate", put(discount=FREE), ["terms.discount.free_product.product_id"]),
    ("PutCouponTemplate", put(validity=coupon_pb2.CouponValidity()), ["terms.validity"]),
    ("PutCouponTemplate", put(validity=coupon_pb2.CouponValidity(days=-1)), ["terms.validity.days"]),
    ("PutCouponTemplate", put(validity=SPAN), ["terms.validity.fixed.end"]),
    ("PutCouponTemplate", put(minimum_spend_minor_units=-1), ["terms.minimum_spend_minor_units"]),
    ("PutCouponTemplate", put(limits=coupon_pb2.CouponLimits(issued=LARGEST)), ["terms.limits.issued"]),
    ("PutCouponTemplate", put(limits=coupon_pb2.CouponLimits(period=NONE)), ["terms.limits.period"]),
    ("PutCouponTemplate", put(scope=coupon_pb2.CouponScope(families=["a", "é"])), ["terms.scope.families[1]"]),
    ("PutCouponTemplate", put(channels=["x"] * 201), ["terms.channels"]),
    ("PutCouponTemplate", put(audience=[coupon_pb2.CouponAudience()]), ["terms.audience[0].program_id"]),
    ("ActivateCouponTemplate", asked(pb.ActivateCouponTemplateRequest, template_id=""), ["template_id"]),
    ("EndCouponTemplate", asked(pb.EndCouponTemplateRequest, reason=" "), ["reason"]),
    ("GetCouponTemplate", asked(pb.GetCouponTemplateRequest, version=-1), ["version"]),
    ("ListCouponTemplates", pb.ListCouponTemplatesRequest(state=NONE), ["state"]),
    ("ListCouponTemplates", pb.ListCouponTemplatesRequest(page_size=501), ["page_size"]),
    ("GetCouponFigures", asked(pb.GetCouponFiguresRequest, as_of=OUT_OF_RANGE), ["as_of"]),
    ("ListCouponAudit", asked(pb.ListCouponAuditRequest, page_token="bm90YW51bWJlcg"), ["page_token"]),
    ("GenerateCouponCodes", asked(pb.GenerateCouponCodesRequest, count=0), ["count"]),
    ("GenerateCouponCodes", asked(pb.GenerateCouponCodesRequest, count=10_001), ["count"]),
    ("GenerateCouponCodes", asked(pb.GenerateCouponCodesRequest, batch_id="-"), ["batch_id"]),
    ("ImportCouponCodes", asked(pb.ImportCouponCodesRequest), ["codes"]),
    ("ImportCouponCodes", asked(pb.ImportCouponCodesRequest, codes=["GOODCODE", "x"]), ["codes[1]"]),
    ("ImportCouponCodes", asked(pb.ImportCouponCodesRequest, codes=[MISTYPED]), ["codes[0]"]),
    ("ListCouponCodes", pb.ListCouponCodesRequest(), ["batch_id"]),
    ("IssueCoupon", asked(pb.IssueCouponRequest, customer_id="c 1"), ["customer_id"]),
    ("IssueCoupon", asked(pb.IssueCouponRequest, reason="x" * 201), ["reason"]),
    ("IssueCoupon", asked(pb.IssueCouponRequest, occurred_at=None), ["occurred_at"]),
    ("IssueCoupon", asked(pb.IssueCouponRequest, person_id="\u202e"), ["person_id"]),
    ("BatchIssueCoupons", pb.BatchIssueCouponsRequest(requests=[asked(pb.IssueCouponRequest)] * 1001), ["requests"]),
    ("StartCouponIssue", asked(pb.StartCouponIssueRequest), ["customer_ids"]),
    ("StartCouponIssue", asked(pb.StartCouponIssueRequest, customer_ids=["c-1", ""]), ["customer_ids[1]"]),
    ("StartCouponIssue", asked(pb.StartCouponIssueRequest, customer_ids=["c"] * 20_001), ["customer_ids"]),
    ("GetCouponIssue", pb.GetCouponIssueRequest(job_id="a b"), ["job_id"]),
    ("ListCouponIssueItems", pb.ListCouponIssueItemsRequest(job_id="j", page_size=-1), ["page_size"]),
    ("RunCouponIssues", pb.RunCouponIssuesRequest(request_id="r"), ["as_of"]),
    ("ClaimCode", asked(pb.ClaimCodeRequest, code=""), ["code"]),
    ("ClaimCode", asked(pb.ClaimCodeRequest, code=MISTYPED), ["code"]),
    ("ClaimCode", asked(pb.ClaimCodeRequest, code="'; DROP TABLE coupons"), ["code"]),
    ("QuoteCoupons", asked(pb.QuoteCouponsRequest, order=coupon_pb2.CouponOrder(currency="CNY")), ["order.lines"]),
    ("QuoteCoupons", asked(pb.QuoteCouponsRequest, order=order(quantity=0)), ["order.lines[0].quantity"]),
    ("QuoteCoupons", asked(pb.QuoteCouponsRequest, codes=["GOODCODE", MISTYPED]), ["codes[1]"]),
    ("QuoteCoupons", asked(pb.QuoteCouponsRequest, codes=["GOODCODE"] * 21), ["codes"]),
    (
        "ReserveCoupons",
        asked(pb.ReserveCouponsRequest, order=order(unit_price_minor_units=LARGEST)),
        ["order.lines[0].unit_price_minor_units", "order.lines"],
    ),
    ("ReserveCoupons", asked(pb.ReserveCouponsRequest, expires_at=WHEN), ["expires_at"]),
    (
        "ReserveCoupons",
        asked(pb.ReserveCouponsRequest, expires_at=TOO_LATE),
        ["expires_at"],
    ),
    ("ReserveCoupons", asked(pb.ReserveCouponsRequest, coupon_ids=[]), ["coupon_ids"]),
    ("ReserveCoupons", asked(pb.ReserveCouponsRequest, coupon_ids=["k", "k"]), ["coupon_ids"]),
    ("ReserveCoupons", asked(pb.ReserveCouponsRequest, coupon_ids=["a b"]), ["coupon_ids[0]"]),
    ("RedeemReservedCoupons", asked(pb.RedeemReservedCouponsRequest, order_id=""), ["order_id"]),
    ("ReleaseCoupons", asked(pb.ReleaseCouponsRequest, occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("RedeemCoupons", asked(pb.RedeemCouponsRequest, order=order(product_id="../x")), ["order.lines[0].product_id"]),
    ("RedeemCoupons", asked(pb.RedeemCouponsRequest, codes=["!"]), ["codes[0]"]),
    ("ReverseCouponRedemption", asked(pb.ReverseCouponRedemptionRequest, reason=""), ["reason"]),
    (
        "ReverseCouponRedemption",
        asked(pb.ReverseCouponRedemptionRequest, coupon_ids=[f"k{n}" for n in range(21)]),
        ["coupon_ids"],
    ),
    ("VerifyCode", pb.VerifyCodeRequest(code=MISTYPED), ["code"]),
    ("VerifyCode", pb.VerifyCodeRequest(code="GOODCODE", channel="a b"), ["channel"]),
    ("GetCoupon", pb.GetCouponRequest(customer_id="c-1", coupon_id="\n"), ["coupon_id"]),
    ("ListCoupons", pb.ListCouponsRequest(customer_id="c-1", states=[NONE]), ["states[0]"]),
    ("ListCoupons", pb.ListCouponsRequest(customer_id="c-1", page_token="bm90YWtleQ"), ["page_token"]),
    ("VoidCoupon", asked(pb.VoidCouponRequest, coupon_id="x" * 65), ["coupon_id"]),
    ("BatchVoidCoupons", pb.BatchVoidCouponsRequest(requests=[asked(pb.VoidCouponRequest)] * 1001), ["requests"]),
    ("ExpireCoupons", pb.ExpireCouponsRequest(request_id="r"), ["as_of"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("ActivateCouponTemplate", asked(pb.ActivateCouponTemplateRequest), "TEMPLATE_NOT_FOUND"),
    ("EndCouponTemplate", asked(pb.EndCouponTemplateRequest), "TEMPLATE_NOT_FOUND"),
    ("GetCouponTemplate", asked(pb.GetCouponTemplateRequest), "TEMPLATE_NOT_FOUND"),
    ("GetCouponFigures", asked(pb.GetCouponFiguresRequest), "TEMPLATE_NOT_FOUND"),
    ("ListCouponAudit", asked(pb.ListCouponAuditRequest), "TEMPLATE_NOT_FOUND"),
    ("GenerateCouponCodes", asked(pb.GenerateCouponCodesRequest), "TEMPLATE_NOT_FOUND"),
    ("ImportCouponCodes", asked(pb.ImportCouponCodesRequest, codes=["GOODCODE"]), "TEMPLATE_NOT_FOUND"),
    ("ListCouponCodes", asked(pb.ListCouponCodesRequest), "BATCH_NOT_FOUND"),
    ("IssueCoupon", asked(pb.IssueCouponRequest), "TEMPLATE_NOT_FOUND"),
    ("StartCouponIssue", asked(pb.StartCouponIssueRequest, customer_ids=["c-1"]), "TEMPLATE_NOT_FOUND"),
    ("GetCouponIssue", asked(pb.GetCouponIssueRequest), "JOB_NOT_FOUND"),
    ("ListCouponIssueItems", asked(pb.ListCouponIssueItemsRequest), "JOB_NOT_FOUND"),
    ("ReserveCoupons", asked(pb.ReserveCouponsRequest), "COUPON_NOT_FOUND"),
    ("RedeemCoupons", asked(pb.RedeemCouponsRequest), "COUPON_NOT_FOUND"),
    ("RedeemReservedCoupons", asked(pb.RedeemReservedCouponsRequest), "RESERVATION_NOT_OPEN"),
    ("ReleaseCoupons", asked(pb.ReleaseCouponsRequest), "RESERVATION_NOT_OPEN"),
    ("ReverseCouponRedemption", asked(pb.ReverseCouponRedemptionRequest), "REDEMPTION_NOT_FOUND"),
    ("GetCoupon", asked(pb.GetCouponRequest), "COUPON_NOT_FOUND"),
    ("VoidCoupon", asked(pb.VoidCouponRequest), "COUPON_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    assert methods_of(pb) == {name for name, _, _ in BAD}


async def test_unknown_codes_are_counted_and_then_held_back(boss: Stubs) -> None:
    await become_member(boss)
    for name, request in [
        ("ClaimCode", asked(pb.ClaimCodeRequest, code="GOODCODE")),
        ("VerifyCode", pb.VerifyCodeRequest(code="GOODCODE")),
        ("RedeemCoupons", asked(pb.RedeemCouponsRequest, codes=["GOODCODE"])),
    ] * 7:
        last = await refused(boss, name, request)
    assert (last.code, last.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_GUESSES")
    quote = asked(pb.QuoteCouponsRequest, codes=["GOODCODE"])
    assert (await refused(boss, "QuoteCoupons", quote)).reason == "TOO_MANY_GUESSES"
    assert (await refused(boss, "ClaimCode", asked(pb.ClaimCodeRequest, code=MISTYPED))).reason == "CODE_MISTYPED"
