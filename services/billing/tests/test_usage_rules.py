"""Usage, alone: whatever the order, repetition and correction of records, a month comes to its rounded whole."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from billing.domain.ids import AccountId, ProductId
from billing.domain.price import Price, PriceTier, TierMode, UnitPrice, cumulative_price
from billing.domain.rounding import round_half_up
from billing.domain.usage import (
    Counter,
    CounterKey,
    CounterMove,
    Counters,
    MonthOverflow,
    Priced,
    SubscriberId,
    UsageId,
    UsageIdReused,
    UsageRecord,
    UsageReplaced,
    UsageStanding,
    UsageWasRejected,
)
from chassis.errors import InvalidArgument
from chassis.money import Money
from hypothesis import given, settings
from hypothesis import strategies as st

AT = datetime(2026, 3, 10, tzinfo=UTC)
ACCOUNT, PRODUCT, LINE = AccountId("a"), ProductId("minutes"), SubscriberId("line")
MARCH, APRIL = (CounterKey(ACCOUNT, LINE, PRODUCT, date(2026, month, 1), 1) for month in (3, 4))


def a_price(mode: TierMode = TierMode.GRADUATED, package_size: int = 0) -> Price:
    """A hundred units at 1.3 minor units, further ones at 0.7; packages at the first price."""
    tiers: tuple[PriceTier, ...] = (
        PriceTier(100, UnitPrice(1, 300_000_000)),
        PriceTier(None, UnitPrice(0, 700_000_000), flat_minor=5),
    )
    if mode is TierMode.PACKAGE:
        tiers = (PriceTier(None, UnitPrice(12, 500_000_000)),)
    return Price(
        product_id=PRODUCT,
        currency="CNY",
        effective_from=AT,
        tier_mode=mode,
        tiers=tiers,
        package_size=package_size,
        version=1,
    )


PRICES = (a_price(), a_price(TierMode.VOLUME), a_price(TierMode.PACKAGE, 10))


def a_record(
    usage_id: str = "u-1", *, quantity: int = 10, corrects: str | None = None, line: str = LINE
) -> UsageRecord:
    """Minutes of one line."""
    return UsageRecord(
        usage_id=UsageId(usage_id),
        account_id=ACCOUNT,
        product_id=PRODUCT,
        subscriber_id=SubscriberId(line),
        quantity=quantity,
        corrects=UsageId(corrects) if corrects else None,
        occurred_at=AT,
    )


def a_standing(counted: CounterKey | None = MARCH, replaced_by: str | None = None) -> UsageStanding:
    """A record that was charged, or was not."""
    return UsageStanding(
        usage=a_record(),
        counted=counted,
        amount=Money(13, "CNY") if counted else None,
        reason=None if counted else "INSUFFICIENT_BALANCE",
        replaced_by=UsageId(replaced_by) if replaced_by else None,
    )


def taken(counters: Counters, *parts: Priced) -> list[CounterMove]:
    """What parts change, kept."""
    moves = counters.moves(parts)
    counters.take(moves)
    return moves


@settings(max_examples=200)
@given(
    st.sampled_from(PRICES),
    st.lists(st.tuples(st.integers(1, 60), st.none() | st.integers(0, 11)), min_size=1, max_size=12),
)
def test_a_month_comes_to_its_rounded_whole(price: Price, sent: list[tuple[int, int | None]]) -> None:
    """In any order, and with corrections of any record at any time after it."""
    counters = Counters({})
    standing: list[int] = []
    charged = 0
    for size, corrected in sent:
        parts = [Priced(MARCH, price, size)]
        if standing and corrected is not None:
            parts.append(Priced(MARCH, price, -standing.pop(corrected % len(standing))))
        standing.append(size)
        charged += sum(move.cost_minor for move in taken(counters, *parts))
        assert charged == round_half_up(cumulative_price(price, sum(standing)))
    assert counters.changed[MARCH] == Counter(sum(standing), charged)


def test_a_correction_within_a_month_moves_by_the_difference() -> None:
    counters = Counters({MARCH: Counter(50, 65)})
    (move,) = taken(counters, Priced(MARCH, PRICES[0], -30), Priced(MARCH, PRICES[0], 20))
    assert (move.before, move.quantity, move.cost_minor) == (50, -10, -13)


def test_a_correction_may_carry_units_to_another_month() -> None:
    counters = Counters({MARCH: Counter(100, 130), APRIL: Counter(100, 130)})
    back, forth = taken(counters, Priced(MARCH, PRICES[0], -100), Priced(APRIL, PRICES[0], 100))
    assert (back.cost_minor, forth.cost_minor) == (-130, 75)
    assert counters.changed == {MARCH: Counter(0, 0), APRIL: Counter(200, 205)}


def test_what_is_not_taken_changes_nothing() -> None:
    counters = Counters({})
    first = counters.moves([Priced(MARCH, PRICES[0], 100)])
    assert counters.moves([Priced(MARCH, PRICES[0], 100)]) == first
    assert counters.changed == {}


def test_parts_below_the_minor_unit_are_charged_when_they_make_one() -> None:
    price = Price(
        product_id=PRODUCT,
        currency="CNY",
        effective_from=AT,
        tier_mode=TierMode.GRADUATED,
        tiers=(PriceTier(None, UnitPrice(0, 400_000_000)),),
        version=1,
    )
    counters = Counters({})
    costs = [taken(counters, Priced(MARCH, price, 1))[0].cost_minor for _ in range(5)]
    assert costs == [0, 1, 0, 1, 0]
    assert cumulative_price(price, 5) == Fraction(2)


def test_a_month_has_an_end() -> None:
    counters = Counters({MARCH: Counter(10**12, 10)})
    with pytest.raises(MonthOverflow):
        counters.moves([Priced(MARCH, PRICES[0], 1)])


def test_a_record_has_units_unless_it_corrects() -> None:
    for quantity, corrects in ((0, None), (-1, "u-0"), (10**12 + 1, None)):
        with pytest.raises(InvalidArgument, match=r"usage\.quantity"):
            a_record(quantity=quantity, corrects=corrects)
    assert a_record(quantity=0, corrects="u-0").quantity == 0
    with pytest.raises(InvalidArgument, match="corrects_usage_id"):
        a_record(corrects="u-1")


def test_what_comes_again_must_say_the_same() -> None:
    a_standing().check_same(a_record())
    with pytest.raises(UsageIdReused):
        a_standing().check_same(a_record(quantity=11))


def test_only_what_stands_is_corrected() -> None:
    a_standing().check_corrected_by(a_record("u-2", corrects="u-1"))
    with pytest.raises(UsageReplaced):
        a_standing(replaced_by="u-2").check_corrected_by(a_record("u-3", corrects="u-1"))
    with pytest.raises(UsageWasRejected):
        a_standing(None).check_corrected_by(a_record("u-2", corrects="u-1"))
    with pytest.raises(InvalidArgument, match=r"usage\.subscriber_id"):
        a_standing().check_corrected_by(a_record("u-2", corrects="u-1", line="other"))
