"""Recurring charges: which cycle a run charges, and what becomes of subscriptions whose cycle has ended.

A cycle is paid in advance. One that is not charged on its first day begins on the day on which it is, and ends at the
same anchor: days without service cost nothing.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

from chassis.money import Money

from billing.domain.facts import OfAccount
from billing.domain.ids import ProductId, SubscriptionId
from billing.domain.product import Product
from billing.domain.proration import Cycle, cycle_on
from billing.domain.subscription import Subscription, SubscriptionState

OPEN_DAYS = 3
"""So many days into a month the one before is still open: what comes for it later is late."""


class Run(NamedTuple):
    """What a round of the run did."""

    charged: int = 0
    refused: int = 0
    ended: int = 0
    rested: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringChargeRefused(OfAccount):
    """Effect: a cycle was not charged because the balance does not cover it; told once for a cycle."""

    subscription_id: SubscriptionId
    product_id: ProductId
    amount: Money
    spendable: Money
    cycle_start: date


def next_cycle(subscription: Subscription, product: Product, day: date) -> Cycle:
    """What is left, from a day on, of the cycle that the day falls into."""
    assert product.cadence is not None, "a subscription is of a recurring product"
    return cycle_on(product.cadence, subscription.cycle_end, anchor_day=subscription.anchor_day, day=day)


def past_due(subscription: Subscription) -> Subscription:
    """With a cycle that could not be paid."""
    return replace(subscription, state=SubscriptionState.PAST_DUE, revision=subscription.revision + 1)


def resting(subscription: Subscription) -> Subscription:
    """With its account suspended."""
    return replace(subscription, state=SubscriptionState.RESTING, revision=subscription.revision + 1)


def month_to_close(day: date) -> date | None:
    """The month that is closed by a day, told by its first; None in the first days of a month."""
    first = day.replace(day=1)
    return (first - timedelta(days=1)).replace(day=1) if (day - first).days >= OPEN_DAYS else None
