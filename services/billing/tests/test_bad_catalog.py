"""Bad input of the catalogue over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any

from chassis.money import AMOUNT_MAX
from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import catalog_pb2
from touchstone.billing.v1 import catalog_service_pb2 as pb
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import cny
from services.billing.tests.catalog import (
    calls_by_minute,
    instant,
    put_discount,
    put_price,
    put_product,
    stocked,
    tier,
    tiered,
)

OUT_OF_RANGE = Timestamp(seconds=-1)
LARGEST = 2**63 - 1
DOLLARS = Money(minor_units=1, currency="USD")
NEXT = instant(2026, 6, 1)


class Named:
    """The calls of one service, by name."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def method(self, name: str) -> Any:
        """The method with this name."""
        return getattr(self._stub, name)


def usage(**changed: Any) -> pb.PutPriceRequest:
    """Puts a price by tiers that begins in June."""
    return pb.PutPriceRequest(request_id="r", price=tiered(effective_from=NEXT, **changed))


def flat(**changed: Any) -> pb.PutPriceRequest:
    """Puts a price of one amount that begins in June."""
    return put_price("r", **{"effective_from": NEXT} | changed)


def rate(**changed: Any) -> pb.RateUsageRequest:
    """Asks what calls would cost."""
    values: dict[str, Any] = {"account_id": "acc-1", "product_id": "calls", "quantity": 1}
    return pb.RateUsageRequest(**values | changed)


BAD: list[tuple[str, Message, list[str]]] = [
    ("PutProduct", put_product("", product_id="new"), ["request_id"]),
    ("PutProduct", pb.PutProductRequest(request_id="r"), ["product.kind"]),
    ("PutProduct", put_product("r", product_id="a b"), ["product.product_id"]),
    ("PutProduct", put_product("r", product_id="x" * 65), ["product.product_id"]),
    ("PutProduct", put_product("r", display_name=""), ["product.display_name"]),
    ("PutProduct", put_product("r", display_name="a\x00b"), ["product.display_name"]),
    ("PutProduct", put_product("r", display_name_zh="x" * 501), ["product.display_name_zh"]),
    ("PutProduct", put_product("r", family="a/b"), ["product.family"]),
    ("PutProduct", put_product("r", kind=77), ["product.kind"]),
    ("PutProduct", put_product("r", cycle_unit=77), ["product.cycle_unit"]),
    ("PutProduct", put_product("r", cycle_unit=0), ["product.cycle_unit"]),
    ("PutProduct", put_product("r", cycle_count=37), ["product.cycle_count"]),
    ("PutProduct", put_product("r", cycle_count=-1), ["product.cycle_count"]),
    ("PutProduct", put_product("r", unit="GB"), ["product.unit"]),
    ("PutProduct", pb.PutProductRequest(request_id="r", product=calls_by_minute(unit="")), ["product.unit"]),
    ("PutProduct", pb.PutProductRequest(request_id="r", product=calls_by_minute(unit="x" * 33)), ["product.unit"]),
    ("GetProduct", pb.GetProductRequest(), ["product_id"]),
    ("GetProduct", pb.GetProductRequest(product_id="tv-basic", as_of=OUT_OF_RANGE), ["as_of"]),
    ("ListProducts", pb.ListProductsRequest(family="a b"), ["family"]),
    ("ListProducts", pb.ListProductsRequest(page_size=501), ["page_size"]),
    ("ListProducts", pb.ListProductsRequest(page_token="*"), ["page_token"]),
    ("PutPrice", flat(product_id=""), ["price.product_id"]),
    ("PutPrice", flat(currency="yuan"), ["price.currency"]),
    ("PutPrice", flat(effective_from=OUT_OF_RANGE), ["price.effective_from"]),
    ("PutPrice", flat(effective_from=None), ["price.effective_from"]),
    ("PutPrice", flat(amount=DOLLARS), ["price.amount.currency"]),
    ("PutPrice", flat(amount=cny(-1)), ["price.amount.minor_units"]),
    ("PutPrice", flat(amount=cny(AMOUNT_MAX + 1)), ["price.amount.minor_units"]),
    ("PutPrice", flat(amount=cny(LARGEST)), ["price.amount.minor_units"]),
    ("PutPrice", flat(tax_basis_points=10_001), ["price.tax_basis_points"]),
    ("PutPrice", flat(tiers=[tier(0, 1)]), ["price.tiers"]),
    ("PutPrice", flat(amount=None), ["price.tier_mode"]),
    ("PutPrice", usage(tier_mode=77), ["price.tier_mode"]),
    ("PutPrice", usage(tiers=[]), ["price.tiers"]),
    ("PutPrice", usage(tiers=[tier(0, 1)] * 21), ["price.tiers"]),
    ("PutPrice", usage(tiers=[tier(-1, 1), tier(0, 1)]), ["price.tiers[0].up_to"]),
    ("PutPrice", usage(tiers=[tier(9, 1), tier(9, 1), tier(0, 1)]), ["price.tiers[1].up_to"]),
    ("PutPrice", usage(tiers=[tier(LARGEST, 1), tier(0, 1)]), ["price.tiers[0].up_to"]),
    ("PutPrice", usage(tiers=[tier(0, 1, -1)]), ["price.tiers[0].unit_price.nanos"]),
    ("PutPrice", usage(tiers=[tier(0, LARGEST)]), ["price.tiers[0].unit_price.minor_units"]),
    ("PutPrice", usage(tiers=[tier(0, 1, 0, DOLLARS)]), ["price.tiers[0].flat.currency"]),
    ("PutPrice", usage(package_size=5), ["price.package_size"]),
    ("PutPrice", usage(tier_mode=catalog_pb2.TIER_MODE_PACKAGE, tiers=[tier(0, 1)]), ["price.package_size"]),
    ("ListPrices", pb.ListPricesRequest(product_id="-"), ["product_id"]),
    ("ListPrices", pb.ListPricesRequest(product_id="tv-basic", page_token="eHl6"), ["page_token"]),
    ("PutDiscount", put_discount("r", discount_id=""), ["discount.discount_id"]),
    ("PutDiscount", put_discount("r", display_name=""), ["discount.display_name"]),
    ("PutDiscount", put_discount("r", program_id="a b"), ["discount.program_id"]),
    ("PutDiscount", put_discount("r", tier_id=""), ["discount.tier_id"]),
    ("PutDiscount", put_discount("r", basis_points=0), ["discount.basis_points"]),
    ("PutDiscount", put_discount("r", basis_points=10_001), ["discount.basis_points"]),
    ("PutDiscount", put_discount("r", families=["tv", "tv"]), ["discount.families[1]"]),
    ("PutDiscount", put_discount("r", product_ids=["a", "b c"]), ["discount.product_ids[1]"]),
    ("PutDiscount", put_discount("r", product_ids=[f"p{n}" for n in range(101)]), ["discount.product_ids"]),
    ("PutDiscount", put_discount("r", effective_from=NEXT, effective_until=NEXT), ["discount.effective_until"]),
    ("ListDiscounts", pb.ListDiscountsRequest(page_size=-1), ["page_size"]),
    ("RateUsage", rate(account_id=""), ["account_id"]),
    ("RateUsage", rate(product_id="/"), ["product_id"]),
    ("RateUsage", rate(quantity=0), ["quantity"]),
    ("RateUsage", rate(quantity=LARGEST), ["quantity"]),
    ("RateUsage", rate(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetProduct", pb.GetProductRequest(product_id="none"), "PRODUCT_NOT_FOUND"),
    ("PutPrice", flat(product_id="none"), "PRODUCT_NOT_FOUND"),
    ("ListPrices", pb.ListPricesRequest(product_id="none"), "PRODUCT_NOT_FOUND"),
    ("RateUsage", rate(), "ACCOUNT_NOT_FOUND"),
    ("PutProduct", put_product("r", cycle_count=2), "PRODUCT_KIND_FIXED"),
    ("PutPrice", put_price("r"), "PRICE_IN_FORCE"),
]


async def test_bad_input_is_refused_and_leaves_nothing(served: Serving) -> None:
    await refuses_bad_input(served, Named(await stocked(served)), BAD, UNKNOWN)


def test_every_method_is_tried() -> None:
    assert {name for name, _, _ in BAD} == methods_of(pb)
