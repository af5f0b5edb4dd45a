"""Products, prices and discounts as an operator puts them, each with what does not matter already filled in."""

from datetime import UTC, datetime
from typing import Any

from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import catalog_pb2
from touchstone.billing.v1 import catalog_service_pb2 as pb
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import cny

ADMIN = ("billing.admin", "billing.read", "billing.charge", "billing.write")


def instant(year: int, month: int, day: int, hour: int = 0) -> Timestamp:
    """An instant in UTC."""
    return to_proto(datetime(year, month, day, hour, tzinfo=UTC))


JANUARY = instant(2026, 1, 1)


def catalog_of(served: Serving, *scopes: str) -> Any:
    """The calls about products, for a caller with these scopes or an operator."""
    return catalog_grpc.CatalogServiceStub(served.channel(*(scopes or ADMIN), subject="boss"))


def product(**changed: Any) -> catalog_pb2.Product:
    """TV by the month."""
    values: dict[str, Any] = {
        "product_id": "tv-basic",
        "display_name": "TV basic",
        "display_name_zh": "基础电视",
        "family": "tv",
        "kind": catalog_pb2.PRODUCT_KIND_RECURRING,
        "cycle_unit": catalog_pb2.CYCLE_UNIT_MONTH,
        "refundable": True,
    }
    return catalog_pb2.Product(**values | changed)


def once(**changed: Any) -> catalog_pb2.Product:
    """A set-top box, sold once."""
    values: dict[str, Any] = {
        "product_id": "box",
        "display_name": "Box",
        "family": "hardware",
        "kind": catalog_pb2.PRODUCT_KIND_ONE_OFF,
        "cycle_unit": catalog_pb2.CYCLE_UNIT_UNSPECIFIED,
    }
    return product(**values | changed)


def calls_by_minute(**changed: Any) -> catalog_pb2.Product:
    """Telephone calls."""
    values: dict[str, Any] = {
        "product_id": "calls",
        "display_name": "Calls",
        "family": "phone",
        "kind": catalog_pb2.PRODUCT_KIND_USAGE,
        "cycle_unit": catalog_pb2.CYCLE_UNIT_UNSPECIFIED,
        "unit": "minute",
    }
    return product(**values | changed)


def price(**changed: Any) -> catalog_pb2.Price:
    """99 yuan a month since January."""
    values: dict[str, Any] = {
        "product_id": "tv-basic",
        "currency": "CNY",
        "effective_from": JANUARY,
        "amount": cny(99_00),
    }
    return catalog_pb2.Price(**values | changed)


def tier(up_to: int, minor_units: int, nanos: int = 0, flat: Money | None = None) -> catalog_pb2.PriceTier:
    """One tier; 0 is without end."""
    unit_price = catalog_pb2.UnitPrice(minor_units=minor_units, nanos=nanos)
    return catalog_pb2.PriceTier(up_to=up_to, unit_price=unit_price, flat=flat)


def tiered(**changed: Any) -> catalog_pb2.Price:
    """10 fen a minute, past 100 minutes a month 5."""
    values: dict[str, Any] = {
        "product_id": "calls",
        "amount": None,
        "tier_mode": catalog_pb2.TIER_MODE_GRADUATED,
        "tiers": [tier(100, 10), tier(0, 5)],
    }
    return price(**values | changed)


def discount(**changed: Any) -> catalog_pb2.Discount:
    """A tenth less for gold."""
    values: dict[str, Any] = {
        "discount_id": "gold",
        "display_name": "Gold",
        "tier_id": "gold",
        "basis_points": 1000,
    }
    return catalog_pb2.Discount(**values | changed)


def put_product(request_id: str = "product-1", **changed: Any) -> pb.PutProductRequest:
    """Puts TV by the month."""
    return pb.PutProductRequest(request_id=request_id, product=product(**changed))


def put_price(request_id: str = "price-1", **changed: Any) -> pb.PutPriceRequest:
    """Prices TV by the month."""
    return pb.PutPriceRequest(request_id=request_id, price=price(**changed))


def put_discount(request_id: str = "discount-1", **changed: Any) -> pb.PutDiscountRequest:
    """Puts the discount of gold."""
    return pb.PutDiscountRequest(request_id=request_id, discount=discount(**changed))


async def stocked(served: Serving) -> Any:
    """The calls about products, with TV by the month, a box and calls by the minute put and priced."""
    catalog = catalog_of(served)
    for one, of in (
        (product(), price()),
        (once(), price(product_id="box", amount=cny(300_00))),
        (calls_by_minute(), tiered()),
    ):
        await catalog.PutProduct(pb.PutProductRequest(request_id=f"put-{one.product_id}", product=one))
        await catalog.PutPrice(pb.PutPriceRequest(request_id=f"price-{one.product_id}", price=of))
    return catalog
