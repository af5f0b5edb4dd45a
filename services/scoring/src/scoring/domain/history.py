"""Purchase histories and the recency, frequency and spend that the models read from them.

The unit of purchase is the customer-day: what a customer buys on one business day is one purchase with the day's sum.
Purchases of nothing count, because somebody acted; they add a day and no money. The first day is how a customer is
met, so only the days after it are repeats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import NewType

import numpy as np
from chassis.money import Money
from numpy.typing import NDArray

CustomerId = NewType("CustomerId", str)

DAYS_PER_WEEK = 7

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PurchaseDay:
    """What one customer bought on one business day: how many purchases, and their sum in minor units."""

    customer_id: CustomerId
    day: date
    purchases: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """One purchase as it arrived: whose, what it cost (0 or more), and when it was in business time."""

    customer_id: CustomerId
    amount: Money
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """One customer's purchase days, added up: all that any score is computed from.

    `purchases` counts them as they came, `purchase_days` the days that had any.
    """

    customer_id: CustomerId
    first_day: date
    last_day: date
    purchase_days: int
    purchases: int
    total_minor: int
    first_day_minor: int

    def including(self, later: PurchaseDay) -> "CustomerHistory":
        """The history with one more day, which must be after the last one."""
        assert later.day > self.last_day, "days are added in order, each once"
        return CustomerHistory(
            customer_id=self.customer_id,
            first_day=self.first_day,
            last_day=later.day,
            purchase_days=self.purchase_days + 1,
            purchases=self.purchases + later.purchases,
            total_minor=self.total_minor + later.amount_minor,
            first_day_minor=self.first_day_minor,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """A history as seen at the end of a day: the models' x, t_x and T, in days, with the money exact.

    `repeats` is x, `recency_days` is t_x (first to last purchase) and `age_days` is T (first purchase to the day of
    looking); the literature's weeks are these days divided by seven.
    """

    customer_id: CustomerId
    repeats: int
    recency_days: int
    age_days: int
    repeat_minor: int
    total_minor: int

    @property
    def silent_days(self) -> int:
        """Days from the last purchase to the day of looking."""
        return self.age_days - self.recency_days

    @property
    def repeat_mean_minor(self) -> int:
        """The mean worth of a repeat purchase day, to the nearest minor unit (halves to even); 0 without one."""
        return round(Fraction(self.repeat_minor, self.repeats)) if self.repeats else 0


def merge_days(purchases: Iterable[PurchaseDay]) -> list[PurchaseDay]:
    """One row per customer and day, sorted by both, whatever the order and the repetition of what came in."""
    merged: dict[tuple[CustomerId, date], tuple[int, int]] = {}
    for purchase in purchases:
        key = (purchase.customer_id, purchase.day)
        count, amount_minor = merged.get(key, (0, 0))
        merged[key] = (count + purchase.purchases, amount_minor + purchase.amount_minor)
    return [PurchaseDay(customer, day, *merged[customer, day]) for customer, day in sorted(merged)]


def gather_histories(purchases: Iterable[PurchaseDay], until: date) -> list[CustomerHistory]:
    """The history of every customer who bought by the end of `until`, by customer; later ones are not known yet."""
    histories: dict[CustomerId, CustomerHistory] = {}
    for bought in merge_days(purchase for purchase in purchases if purchase.day <= until):
        known = histories.get(bought.customer_id)
        histories[bought.customer_id] = known.including(bought) if known else _first(bought)
    return list(histories.values())


def _first(bought: PurchaseDay) -> CustomerHistory:
    return CustomerHistory(
        customer_id=bought.customer_id,
        first_day=bought.day,
        last_day=bought.day,
        purchase_days=1,
        purchases=bought.purchases,
        total_minor=bought.amount_minor,
        first_day_minor=bought.amount_minor,
    )


def summarise(history: CustomerHistory, until: date) -> Summary:
    """What is known of a customer at the end of `until`; the first purchase day and its money are no repeat's."""
    assert history.last_day <= until, "a history does not reach past the day it is looked at"
    return Summary(
        customer_id=history.customer_id,
        repeats=history.purchase_days - 1,
        recency_days=(history.last_day - history.first_day).days,
        age_days=(until - history.first_day).days,
        repeat_minor=history.total_minor - history.first_day_minor,
        total_minor=history.total_minor,
    )


@dataclass(frozen=True, slots=True)
class Population:
    """The summaries of many customers as columns, times in weeks: what the models compute on."""

    repeats: Floats
    recency_weeks: Floats
    age_weeks: Floats

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> "Population":
        """The columns of `summaries`, row for row."""
        return cls(
            repeats=np.array([summary.repeats for summary in summaries], dtype=np.float64),
            recency_weeks=np.array([summary.recency_days for summary in summaries], dtype=np.float64) / DAYS_PER_WEEK,
            age_weeks=np.array([summary.age_days for summary in summaries], dtype=np.float64) / DAYS_PER_WEEK,
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """A population with equal customers counted instead of repeated: sufficient for the transaction model, and small.

    `group_of` gives each original row its group, so that what is computed per group can be read back per customer.
    """

    population: Population
    customers: Floats
    group_of: Integers

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> "Groups":
        """The distinct (x, t_x, T) of `summaries`; compared as whole days, so equal means equal."""
        keys = np.array([(each.repeats, each.recency_days, each.age_days) for each in summaries], dtype=np.int64)
        distinct, group_of, customers = np.unique(keys.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
        return cls(
            population=Population(
                repeats=distinct[:, 0].astype(np.float64),
                recency_weeks=distinct[:, 1] / DAYS_PER_WEEK,
                age_weeks=distinct[:, 2] / DAYS_PER_WEEK,
            ),
            customers=customers.astype(np.float64),
            group_of=group_of.reshape(-1).astype(np.int64),
        )
