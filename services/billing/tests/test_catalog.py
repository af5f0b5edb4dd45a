"""Products, prices and discounts over real gRPC: versions, pages, races, and what usage would cost."""

import asyncio

import pytest
from chassis.testing.serving import Serving
from sqlalchemy import text
from touchstone.billing.v1 import catalog_pb2
from touchstone.billing.v1 import catalog_service_pb2 as pb
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import boss, cny, opened, put_plan, refused
from services.billing.tests.catalog import (
    calls_by_minute,
    catalog_of,
    discount,
    instant,
    price,
    product,
    put_discount,
    put_price,
    put_product,
    stocked,
    tier,
    tiered,
)


async def test_a_product_is_put_again_under_its_next_revision(served: Serving) -> None:
    catalog = catalog_of(served)
    first = await catalog.PutProduct(put_product())
    again = await catalog.PutProduct(put_product("product-2", display_name="TV", retired=True))
    assert first.product == product(cycle_count=1, revision=1)
    assert again.product == product(cycle_count=1, revision=2, display_name="TV", retired=True)
    assert await catalog.PutProduct(put_product()) == first


@pytest.mark.parametrize(
    "changed",
    [
        {"cycle_count": 2},
        {"cycle_unit": catalog_pb2.CYCLE_UNIT_YEAR},
        {"kind": catalog_pb2.PRODUCT_KIND_ONE_OFF, "cycle_unit": catalog_pb2.CYCLE_UNIT_UNSPECIFIED},
    ],
)
async def test_a_product_keeps_how_it_is_charged(served: Serving, changed: dict[str, object]) -> None:
    catalog = catalog_of(served)
    await catalog.PutProduct(put_product())
    assert (await refused(catalog.PutProduct, put_product("product-2", **changed))).reason == "PRODUCT_KIND_FIXED"


async def test_products_are_listed_by_id(served: Serving) -> None:
    catalog = await stocked(served)
    await catalog.PutProduct(put_product("old", product_id="tv-old", retired=True))
    first = await catalog.ListProducts(pb.ListProductsRequest(page_size=2))
    rest = await catalog.ListProducts(pb.ListProductsRequest(page_size=2, page_token=first.next_page_token))
    assert [[one.product_id for one in page.products] for page in (first, rest)] == [["box", "calls"], ["tv-basic"]]
    assert not rest.next_page_token
    family = await catalog.ListProducts(pb.ListProductsRequest(family="tv", include_retired=True))
    assert [one.product_id for one in family.products] == ["tv-basic", "tv-old"]


async def test_the_latest_version_that_has_begun_acts(served: Serving) -> None:
    catalog = await stocked(served)
    future = instant(9000, 1, 1)
    await catalog.PutPrice(put_price("second", effective_from=instant(2026, 2, 1), amount=cny(109_00)))
    await catalog.PutPrice(put_price("third", effective_from=future, amount=cny(119_00)))
    corrected = await catalog.PutPrice(put_price("fourth", effective_from=future, amount=cny(115_00)))
    await catalog.PutPrice(put_price("dollars", currency="USD", amount=Money(minor_units=15_00, currency="USD")))
    assert corrected.price.version == 4
    for as_of, amounts in (
        (instant(2025, 12, 31), []),
        (instant(2026, 1, 1), [99_00, 15_00]),
        (instant(2026, 2, 1), [109_00, 15_00]),
        (future, [115_00, 15_00]),
    ):
        reply = await catalog.GetProduct(pb.GetProductRequest(product_id="tv-basic", as_of=as_of))
        assert [each.amount.minor_units for each in reply.prices] == amounts
    now = await catalog.GetProduct(pb.GetProductRequest(product_id="tv-basic"))
    assert [each.version for each in now.prices] == [2, 1]


async def test_what_acts_is_never_changed(served: Serving) -> None:
    catalog = await stocked(served)
    for number, begins in enumerate((instant(2025, 6, 1), instant(2026, 1, 1))):
        refusal = await refused(catalog.PutPrice, put_price(f"back-{number}", effective_from=begins))
        assert refusal.reason == "PRICE_IN_FORCE"
    async with served.work.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM prices"))).scalar_one() == 3


async def test_versions_are_listed_newest_first(served: Serving) -> None:
    catalog = await stocked(served)
    for month in (2, 3):
        await catalog.PutPrice(put_price(f"m-{month}", effective_from=instant(2026, month, 1)))
    first = await catalog.ListPrices(pb.ListPricesRequest(product_id="tv-basic", page_size=2))
    rest = await catalog.ListPrices(
        pb.ListPricesRequest(product_id="tv-basic", page_size=2, page_token=first.next_page_token)
    )
    assert [[each.version for each in page.prices] for page in (first, rest)] == [[3, 2], [1]]


async def test_versions_put_at_once_are_numbered_without_a_gap(served: Serving) -> None:
    catalog = await stocked(served)
    wishes = [put_price(f"race-{n}", effective_from=instant(9000, 1, n)) for n in range(1, 21)]
    replies = await asyncio.gather(*(catalog.PutPrice(wish) for wish in wishes))
    assert sorted(reply.price.version for reply in replies) == list(range(2, 22))


async def test_a_price_comes_back_as_it_was_put(served: Serving) -> None:
    catalog = await stocked(served)
    wanted = tiered(
        effective_from=instant(2026, 2, 1),
        tiers=[tier(100, 0, 5), tier(200, 3, 500_000_000, cny(2_00)), tier(0, 2)],
        tax_basis_points=600,
    )
    reply = await catalog.PutPrice(pb.PutPriceRequest(request_id="p", price=wanted))
    wanted.version = 2
    assert reply.price == wanted
    stored = await catalog.GetProduct(pb.GetProductRequest(product_id="calls"))
    assert list(stored.prices) == [wanted]


async def test_a_price_suits_its_product(served: Serving) -> None:
    catalog = await stocked(served)
    whole = await refused(catalog.PutPrice, put_price("a", product_id="calls", effective_from=instant(2026, 2, 1)))
    assert [each.field for each in whole.violations] == ["price.tiers"]
    by_unit = pb.PutPriceRequest(request_id="b", price=tiered(product_id="box", effective_from=instant(2026, 2, 1)))
    assert [each.field for each in (await refused(catalog.PutPrice, by_unit)).violations] == ["price.amount"]
    assert (await refused(catalog.PutPrice, put_price("c", product_id="none"))).reason == "PRODUCT_NOT_FOUND"


async def test_a_discount_is_put_again_and_listed(served: Serving) -> None:
    catalog = catalog_of(served)
    await catalog.PutDiscount(put_discount())
    again = await catalog.PutDiscount(
        put_discount("discount-2", families=["tv"], effective_from=instant(2026, 1, 1), basis_points=500)
    )
    await catalog.PutDiscount(put_discount("discount-3", discount_id="silver", tier_id="silver"))
    assert again.discount == discount(
        program_id="general", families=["tv"], effective_from=instant(2026, 1, 1), basis_points=500, revision=2
    )
    first = await catalog.ListDiscounts(pb.ListDiscountsRequest(page_size=1))
    rest = await catalog.ListDiscounts(pb.ListDiscountsRequest(page_size=1, page_token=first.next_page_token))
    assert [*first.discounts] == [again.discount]
    assert [each.discount_id for each in rest.discounts] == ["silver"]
    assert not rest.next_page_token


async def test_usage_is_rated_without_being_charged(served: Serving) -> None:
    catalog = await stocked(served)
    calls = boss(served)
    await calls.bills.PutBillPlan(put_plan())
    await calls.accounts.OpenAccount(opened())
    wish = pb.RateUsageRequest(
        account_id="acc-1", product_id="calls", quantity=120, occurred_at=instant(2026, 3, 5, 12)
    )
    reply = await catalog.RateUsage(wish)
    assert reply.reckoning.total == cny(11_00)
    assert [(line.quantity, line.amount.minor_units) for line in reply.reckoning.lines] == [(100, 10_00), (20, 1_00)]
    for changed, reason in (
        ({"account_id": "none"}, "ACCOUNT_NOT_FOUND"),
        ({"product_id": "none"}, "PRODUCT_NOT_FOUND"),
        ({"product_id": "box"}, "PRODUCT_KIND_DIFFERS"),
        ({"occurred_at": instant(2025, 1, 1)}, "PRICE_NOT_FOUND"),
    ):
        other = pb.RateUsageRequest()
        other.CopyFrom(wish)
        other.MergeFrom(pb.RateUsageRequest(**changed))
        assert (await refused(catalog.RateUsage, other)).reason == reason


async def test_every_call_needs_its_scope(served: Serving) -> None:
    requests = {
        "PutProduct": pb.PutProductRequest(request_id="r", product=calls_by_minute()),
        "PutPrice": pb.PutPriceRequest(request_id="r", price=price()),
        "PutDiscount": pb.PutDiscountRequest(request_id="r", discount=discount()),
        "GetProduct": pb.GetProductRequest(product_id="tv-basic"),
        "ListProducts": pb.ListProductsRequest(),
        "ListPrices": pb.ListPricesRequest(product_id="tv-basic"),
        "ListDiscounts": pb.ListDiscountsRequest(),
        "RateUsage": pb.RateUsageRequest(account_id="acc-1", product_id="calls", quantity=1),
    }
    assert requests.keys() == {method.name for method in pb.DESCRIPTOR.services_by_name["CatalogService"].methods}
    stub = catalog_of(served, "billing.recharge")
    for name, request in requests.items():
        assert (await refused(getattr(stub, name), request)).reason == "SCOPE_MISSING", name
