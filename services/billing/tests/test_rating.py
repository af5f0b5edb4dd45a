"""What holds for every price, day and tier: parts sum exactly, and nobody gains by ordering and cancelling."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from billing.domain.discount import Discount, HeldTier
from billing.domain.ids import DiscountId, ProductId
from billing.domain.price import Price, PriceTier, TierMode, UnitPrice, cumulative_price
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.proration import cycle_after, cycle_on, first_cycle, split_after, split_before
from billing.domain.rating import Stretch, rate_cycle, rate_usage, reckon_usage, usage_minor
from billing.domain.reckoning import contained_tax
from billing.domain.rounding import round_half_up, round_share, spread
from chassis.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 3, 15, tzinfo=UTC)
AMOUNTS = st.integers(0, 10**9)
DAYS = st.dates(date(2024, 1, 1), date(2032, 12, 31))
CADENCES = st.builds(Cadence, st.integers(1, 36), st.sampled_from(CycleUnit))
ANCHORS = st.integers(0, 31)
UNIT_PRICES = st.builds(UnitPrice, st.integers(0, 1000), st.integers(0, 10**9 - 1))


@st.composite
def tables(draw: st.DrawFn) -> Price:
    """A price of usage."""
    mode = draw(st.sampled_from(TierMode))
    ends = sorted(draw(st.sets(st.integers(1, 300), max_size=4))) if mode is not TierMode.PACKAGE else []
    tiers = [PriceTier(end, draw(UNIT_PRICES), draw(st.integers(0, 50))) for end in (*ends, None)]
    return Price(
        product_id=ProductId("calls"),
        currency="CNY",
        effective_from=AT,
        tier_mode=mode,
        tiers=tuple(tiers),
        package_size=draw(st.integers(1, 60)) if mode is TierMode.PACKAGE else 0,
    )


def a_product(kind: ProductKind = ProductKind.RECURRING) -> Product:
    """A product of a kind."""
    return Product(
        product_id=ProductId("calls"),
        display_name="Calls",
        display_name_zh="",
        family="phone",
        kind=kind,
        cadence=Cadence(1, CycleUnit.MONTH) if kind is ProductKind.RECURRING else None,
        unit="minutes" if kind is ProductKind.USAGE else "",
        refundable=True,
        retired=False,
    )


def flat(amount_minor: int) -> Price:
    """A price of one amount."""
    return Price(product_id=ProductId("calls"), currency="CNY", effective_from=AT, amount_minor=amount_minor)


@given(st.integers(0, 10**12), st.lists(st.fractions(0, 10**6), min_size=1, max_size=20))
def test_what_is_spread_sums_to_the_whole(total: int, weights: list[Fraction]) -> None:
    weights = [*weights, Fraction(1)]
    parts = spread(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    assert all(abs(part - total * weight / whole) < 1 for part, weight in zip(parts, weights, strict=True))


@given(AMOUNTS, st.integers(0, 400), st.integers(1, 400))
def test_a_share_is_rounded_as_its_fraction_is(amount: int, part: int, whole: int) -> None:
    assert round_share(amount, part, whole) == round_half_up(Fraction(amount * part, whole))


@given(AMOUNTS, st.integers(1, 1000), st.integers(1, 366), st.integers(0, 365), st.integers(0, 10_000))
def test_lines_of_a_cycle_sum_to_its_total(amount: int, quantity: int, days: int, more: int, share: int) -> None:
    discount = Discount(
        discount_id=DiscountId("d"),
        display_name="d",
        held=HeldTier("general", "gold"),
        basis_points=share or 1,
        effective_from=AT,
    )
    reckoning = rate_cycle(
        a_product(),
        flat(amount),
        quantity=quantity,
        stretch=Stretch(days, days + more),
        discount=discount if share else None,
    )
    exact = Fraction(amount * quantity * days, days + more) * (10_000 - share) / 10_000
    assert sum(line.amount_minor for line in reckoning.lines) == reckoning.total_minor == round_half_up(exact)
    assert 0 <= reckoning.total_minor <= reckoning.list_total_minor <= amount * quantity


@given(tables(), st.lists(st.integers(-50, 200), max_size=12))
def test_usage_in_any_portions_sums_to_the_rounded_whole(price: Price, changes: list[int]) -> None:
    used = charged = 0
    for wished in changes:
        change = max(wished, -used)
        reckoning = reckon_usage(a_product(ProductKind.USAGE), price, before=used, quantity=change)
        assert sum(line.amount_minor for line in reckoning.lines) == reckoning.total_minor
        assert reckoning.total_minor == usage_minor(price, before=used, quantity=change)
        assert sum(
            line.quantity * line.unit_price.exact for line in reckoning.lines if line.unit_price is not None
        ) == rate_usage(price, before=used, quantity=change)
        used, charged = used + change, charged + reckoning.total_minor
    assert charged == round_half_up(cumulative_price(price, used))


@given(CADENCES, DAYS, ANCHORS)
def test_cycles_follow_each_other_without_gaps(cadence: Cadence, day: date, anchor: int) -> None:
    anchor_day, cycle = first_cycle(cadence, day, anchor)
    assert cycle.whole_start <= cycle.start == day < cycle.end
    for _ in range(5):
        following = cycle_after(cadence, cycle.end, anchor_day)
        assert following.start == following.whole_start == cycle.end < following.end
        if cadence.unit is not CycleUnit.DAY:
            month_after = (following.end.replace(day=28) + timedelta(days=4)).replace(day=1)
            assert following.end.day == min(anchor_day, (month_after - timedelta(days=1)).day)
        cycle = following


@given(CADENCES, DAYS, ANCHORS, st.integers(0, 800))
def test_a_cycle_begun_late_ends_where_it_would_have(cadence: Cadence, day: date, anchor: int, late: int) -> None:
    anchor_day, first = first_cycle(cadence, day, anchor)
    today = first.end + timedelta(days=late)
    cycle = cycle_on(cadence, first.end, anchor_day=anchor_day, day=today)
    assert cycle.start == today < cycle.end
    assert cycle.whole_start <= today
    assert cycle._replace(start=cycle.whole_start) == cycle_after(cadence, cycle.whole_start, anchor_day)


@given(AMOUNTS, DAYS, st.integers(1, 400), st.integers(-50, 500))
def test_used_and_refund_are_what_was_charged(charged: int, start: date, days: int, later: int) -> None:
    end, day = start + timedelta(days=days), start + timedelta(days=later)
    for split in (split_after(charged, start, end, day), split_before(charged, start, end, day)):
        assert split.used_minor + split.refund_minor == charged
        assert 0 <= split.refund_minor <= charged
    assert split_after(charged, start, end, day).used_days >= 1


@given(AMOUNTS, CADENCES, DAYS, ANCHORS, st.integers(0, 1200))
def test_ordering_and_cancelling_never_gains(amount: int, cadence: Cadence, day: date, anchor: int, later: int) -> None:
    _, cycle = first_cycle(cadence, day, anchor)
    total = rate_cycle(a_product(), flat(amount), quantity=1, stretch=cycle.stretch, discount=None).total_minor
    split = split_after(total, cycle.start, cycle.end, day + timedelta(days=later))
    paid = total - split.refund_minor
    by_day = Fraction(amount, cycle.stretch.of_days)
    assert abs(paid - by_day * split.used_days) <= 1
    assert paid >= 0


@given(AMOUNTS, st.integers(0, 10_000))
def test_tax_is_contained(total: int, basis_points: int) -> None:
    tax = contained_tax(total, basis_points)
    assert 0 <= tax <= total
    assert abs(tax - Fraction(basis_points, 10_000) * (total - tax)) <= 1
    assert contained_tax(-total, basis_points) == -tax


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"tiers": ()}, "price.tiers"),
        ({"tiers": (PriceTier(10, UnitPrice(1)),)}, "price.tiers[0].up_to"),
        ({"tiers": (PriceTier(None, UnitPrice(1)), PriceTier(None, UnitPrice(1)))}, "price.tiers[0].up_to"),
        ({"tiers": (PriceTier(10, UnitPrice(1)), PriceTier(10, UnitPrice(1)), PriceTier(None, UnitPrice(1)))},
         "price.tiers[1].up_to"),
        ({"tiers": (PriceTier(None, UnitPrice(1, 10**9)),)}, "price.tiers[0].unit_price.nanos"),
        ({"tiers": (PriceTier(None, UnitPrice(-1)),)}, "price.tiers[0].unit_price.minor_units"),
        ({"tiers": (PriceTier(None, UnitPrice(1), -1),)}, "price.tiers[0].flat.minor_units"),
        ({"package_size": 5}, "price.package_size"),
        ({"tier_mode": TierMode.PACKAGE}, "price.package_size"),
        ({"tax_basis_points": 10_001}, "price.tax_basis_points"),
        ({"amount_minor": 5}, "price.tiers"),
    ],
)  # fmt: skip
def test_a_price_that_cannot_be_is_refused(changed: dict[str, object], field: str) -> None:
    values: dict[str, object] = {
        "product_id": ProductId("calls"),
        "currency": "CNY",
        "effective_from": AT,
        "tier_mode": TierMode.GRADUATED,
        "tiers": (PriceTier(None, UnitPrice(1)),),
    }
    with pytest.raises(InvalidArgument) as refused:
        Price(**values | changed)  # type: ignore[arg-type]
    assert [violation.field for violation in refused.value.violations] == [field]
