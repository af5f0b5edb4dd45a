"""Worked examples of rating and proration, from a table file, to the minor unit; and what must hold for all of them."""

import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing.domain.deduction import CouponPart, Rated, less_coupons, less_points
from billing.domain.discount import Discount, HeldTier, best_discount
from billing.domain.ids import DiscountId, ProductId
from billing.domain.price import Price, PriceTier, TierMode, UnitPrice
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.proration import Owned, dearer_by_day, first_cycle, given_back, split_after, split_before
from billing.domain.rating import WHOLE, Stretch, rate_cycle, rate_once, reckon_usage
from billing.domain.reckoning import Line, Reckoning
from chassis.calendar import Calendar

BOOK = tomllib.loads((Path(__file__).parent / "golden" / "reckonings.toml").read_text("utf-8"))
AT = datetime(2026, 3, 15, tzinfo=UTC)
MONTHLY = Cadence(1, CycleUnit.MONTH)
GOLD = HeldTier("general", "gold")


def examples(kind: str) -> list[Any]:
    """The examples of a kind, each under its name."""
    return [pytest.param(each, id=each["name"]) for each in BOOK[kind]]


def product(cadence: Cadence | None = MONTHLY) -> Product:
    """A recurring product, or one that is sold once."""
    return Product(
        product_id=ProductId("tv-basic"),
        display_name="TV basic",
        display_name_zh="",
        family="tv",
        kind=ProductKind.RECURRING if cadence else ProductKind.ONE_OFF,
        cadence=cadence,
        unit="",
        refundable=True,
        retired=False,
    )


def price(amount_minor: int, tax_basis_points: int = 0) -> Price:
    """A price of one amount."""
    return Price(
        product_id=ProductId("tv-basic"),
        currency="CNY",
        effective_from=AT,
        amount_minor=amount_minor,
        tax_basis_points=tax_basis_points,
        version=1,
    )


def once(amount_minor: int, tax_basis_points: int = 0) -> Rated:
    """A one-off product, rated."""
    sold, at = product(None), price(amount_minor, tax_basis_points)
    return Rated(sold, at, rate_once(sold, at, quantity=1, discount=None))


def shown(lines: Sequence[Line]) -> list[list[object]]:
    """Lines as the table has them."""
    return [[line.kind, line.quantity, line.of_quantity, line.amount_minor] for line in lines]


def check(reckoning: Reckoning, lines: list[list[object]], total_minor: int) -> None:
    """The reckoning has these lines, and they sum to this total."""
    assert (shown(reckoning.lines), reckoning.total_minor) == (lines, total_minor)
    assert sum(line.amount_minor for line in reckoning.lines) == reckoning.total_minor


def test_there_are_sixty() -> None:
    assert {kind: len(found) for kind, found in BOOK.items()} == {
        "proration": 15,
        "tiers": 15,
        "discount": 10,
        "off": 10,
        "tax": 5,
        "change": 5,
    }


@pytest.mark.parametrize("example", examples("proration"))
def test_cycles_to_the_day(example: Any) -> None:
    every, unit = example["cadence"]
    sold = product(Cadence(every, CycleUnit(unit)))
    day = Calendar(ZoneInfo(example["zone"])).day_of(example["at"])
    assert sold.cadence is not None
    _, cycle = first_cycle(sold.cadence, day, example["anchor"])
    assert [cycle.start, cycle.end] == example["cycle"]
    reckoning = rate_cycle(
        sold, price(example["price"]), quantity=example.get("quantity", 1), stretch=cycle.stretch, discount=None
    )
    check(reckoning, example["lines"], example["total"])
    if "cancelled" in example:
        split = split_after(reckoning.total_minor, cycle.start, cycle.end, example["cancelled"])
        assert [split.used_days, split.of_days, split.used_minor] == example["used"]
        assert split.refund_minor == example["refund"]
        back = given_back(Owned("tv-basic", "CNY", reckoning.total_minor, 0), split)
        check(back, _back(reckoning.total_minor, example["used"]), -example["refund"])


@pytest.mark.parametrize("example", examples("tiers"))
def test_usage_by_tiers(example: Any) -> None:
    sold = Product(
        product_id=ProductId("calls"),
        display_name="Calls",
        display_name_zh="",
        family="phone",
        kind=ProductKind.USAGE,
        cadence=None,
        unit="minutes",
        refundable=False,
        retired=False,
    )
    at = Price(
        product_id=ProductId("calls"),
        currency="CNY",
        effective_from=AT,
        tier_mode=TierMode(example["mode"]),
        tiers=tuple(
            PriceTier(up_to or None, UnitPrice(minor, nanos), flat) for up_to, minor, nanos, flat in example["tiers"]
        ),
        package_size=example.get("package_size", 0),
    )
    reckoning = reckon_usage(sold, at, before=example["before"], quantity=example["quantity"])
    check(reckoning, example["lines"], example["total"])


@pytest.mark.parametrize("example", examples("discount"))
def test_discounts_by_tier(example: Any) -> None:
    discounts = [
        Discount(
            discount_id=DiscountId(discount_id),
            display_name=discount_id,
            held=HeldTier(program_id, tier_id),
            basis_points=basis_points,
            product_ids=tuple(product_ids),
            families=tuple(families),
            effective_from=example.get("from", datetime(2026, 1, 1, tzinfo=UTC)),
            effective_until=example.get("until"),
        )
        for discount_id, program_id, tier_id, basis_points, product_ids, families in example["discounts"]
    ]
    best = best_discount(discounts, product(), {GOLD}, example.get("at", AT))
    stretch = Stretch(*example["days"]) if "days" in example else WHOLE
    reckoning = rate_cycle(product(), price(example["price"]), quantity=1, stretch=stretch, discount=best)
    check(reckoning, example["lines"], example["total"])
    assert [line.reference for line in reckoning.lines if line.reference] == (
        [example["reference"]] if "reference" in example else []
    )


@pytest.mark.parametrize("example", examples("off"))
def test_coupons_and_points(example: Any) -> None:
    rated = [once(amount) for amount in example["prices"]]
    less = less_coupons(rated, [CouponPart(item, f"c-{item}", "", amount) for item, amount in example["coupons"]])
    less = less_points(less, "hold-1", example["points"])
    assert [shown(item.reckoning.lines[1:]) for item in less] == example["lines"]
    assert [item.reckoning.total_minor for item in less] == example["totals"]
    assert [item.reckoning.list_total_minor for item in less] == example["prices"]
    for item in less:
        assert sum(line.amount_minor for line in item.reckoning.lines) == item.reckoning.total_minor


@pytest.mark.parametrize("example", examples("tax"))
def test_tax_contained(example: Any) -> None:
    (less,) = less_coupons(
        [once(example["price"], example["basis_points"])], [CouponPart(0, "c-1", "", example.get("coupon", 0))]
    )
    assert less.reckoning.tax_minor == example["tax"]
    assert less.reckoning.total_minor == example["price"] - example.get("coupon", 0)


@pytest.mark.parametrize("example", examples("change"))
def test_changes_in_mid_cycle(example: Any) -> None:
    start, end = example["cycle"]
    day: date = example["day"]
    _, cycle = first_cycle(MONTHLY, day, 1)
    new = rate_cycle(
        product(),
        price(example["price"]),
        quantity=example.get("quantity", 1),
        stretch=cycle.stretch,
        discount=None,
    )
    dearer = dearer_by_day(new, cycle.stretch.days, example["charged"], (end - start).days)
    split = (split_before if dearer else split_after)(example["charged"], start, end, day)
    assert [split.used_days, split.of_days, split.used_minor] == example["used"]
    assert split.refund_minor == example["refund"]
    back = given_back(Owned("tv-basic", "CNY", example["charged"], 0), split)
    check(back, _back(example["charged"], example["used"]), -example["refund"])
    check(new, example["lines"], example["new"])


def _back(charged_minor: int, used: Sequence[int]) -> list[list[object]]:
    """What a refund shows: the cycle taken back, and the days used that stay charged."""
    days, of_days, used_minor = used
    return [["list", -1, 0, -charged_minor], ["proration", days, of_days, used_minor]]
