"""Plausible values for tests: purchases drawn from the model itself, and the small strategies hypothesis needs."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from chassis.money import Money
from hypothesis import strategies as st
from scoring.domain.bgnbd import BgNbd
from scoring.domain.history import CustomerId, Population, Purchase, PurchaseDay, Summary
from scoring.domain.run import RunTerms

UNTIL = date(2026, 6, 30)
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
RECORDED_AT = datetime(2026, 7, 1, 3, tzinfo=UTC)

positive = st.floats(0.05, 30, allow_nan=False)
models = st.builds(BgNbd, r=positive, alpha=positive, a=positive, b=positive)


def a_summary(repeats: int, recency_days: int, age_days: int, *, repeat_minor: int = 0, customer: str = "c") -> Summary:
    """A summary with a first purchase of nothing, unless money is said."""
    return Summary(CustomerId(customer), repeats, recency_days, age_days, repeat_minor, repeat_minor)


@st.composite
def summaries(draw: st.DrawFn) -> Summary:
    """Any summary that days can make: no repeat means no time between first and last, and repeats need days."""
    repeats = draw(st.integers(0, 40))
    recency_days = draw(st.integers(repeats, 400)) if repeats else 0
    age_days = recency_days + draw(st.integers(0, 400))
    repeat_minor = draw(st.integers(0, 50_000)) * repeats
    return a_summary(repeats, recency_days, age_days, repeat_minor=repeat_minor)


purchases = st.lists(
    st.builds(
        PurchaseDay,
        customer_id=st.sampled_from([CustomerId(name) for name in ("ann", "bob", "cho", "dee")]),
        day=st.dates(UNTIL - timedelta(days=60), UNTIL + timedelta(days=10)),
        purchases=st.integers(1, 3),
        amount_minor=st.integers(0, 100_000),
    ),
    max_size=40,
)


def one_customer(repeats: int, recency_weeks: float, age_weeks: float) -> Population:
    """A population of one."""
    return Population(np.array([float(repeats)]), np.array([recency_weeks]), np.array([age_weeks]))


def drawn_purchases(customers: int, *, seed: int, until: date = UNTIL) -> list[PurchaseDay]:
    """Purchases of customers who behave as the models suppose, met over half a year and watched for up to a year."""
    chance = np.random.default_rng(seed)
    bought: list[PurchaseDay] = []
    for number in range(customers):
        rate_per_day = chance.gamma(0.9, 1 / 6.0) / 7
        leaving = chance.beta(0.8, 2.5)
        typical_minor = 30_000 / chance.gamma(4.0, 1.0)
        day = float(until.toordinal() - chance.integers(180, 365))
        days = {int(day)}
        while (day := day + chance.exponential(1 / rate_per_day)) <= until.toordinal():
            days.add(int(day))
            if chance.random() < leaving:
                break
        amounts = chance.gamma(6, typical_minor / 6, len(days)).tolist()
        bought += _on_days(CustomerId(f"c{number:05}"), sorted(days), amounts)
    return bought


def _on_days(customer: CustomerId, days: Sequence[int], amounts: Sequence[float]) -> list[PurchaseDay]:
    pairs = zip(days, amounts, strict=True)
    return [PurchaseDay(customer, date.fromordinal(day), 1, round(amount)) for day, amount in pairs]


def as_arrived(day: PurchaseDay, *, currency: str = "CNY", hour: int = 12) -> Purchase:
    """A purchase day as the purchase that made it, at noon unless said."""
    moment = datetime(day.day.year, day.day.month, day.day.day, hour, tzinfo=UTC)
    return Purchase(day.customer_id, Money(day.amount_minor, currency), moment)


def terms(**changes: object) -> RunTerms:
    """A run's terms at the usual instant."""
    usual: dict[str, object] = {
        "as_of": AS_OF,
        "until": UNTIL,
        "first_purchase_before": None,
        "first_purchase_until": None,
        "horizon_weeks": 39,
        "annual_discount_bps": 1000,
        "currency": "CNY",
    }
    return RunTerms(**{**usual, **changes})  # type: ignore[arg-type]  # the test says what it changes
