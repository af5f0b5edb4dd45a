"""Subscriptions: recurring products that an account pays for, cycle by cycle and in advance."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from chassis.errors import AlreadyExists, NotFound, Refusal

from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, ProductId, SubscriptionId
from billing.domain.product import Cadence
from billing.domain.proration import (
    Anchored,
    Cycle,
    Split,
    cycle_ending,
    cycle_on,
    first_cycle,
    split_after,
    split_before,
)


class SubscriptionNotFound(NotFound):
    """No such subscription, or not one of the customer named: the answer is the same."""


class SubscriptionExists(AlreadyExists):
    """The subscription's identifier is in use, or was."""


class SubscriptionEnded(Refusal):
    """It has ended, or ends with the cycle that is paid: it is neither changed nor cancelled again."""


class SubscriptionState(StrEnum):
    """Where a subscription stands."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    """Its next cycle could not be paid; tried again at each run."""
    RESTING = "resting"
    """Its account is suspended."""
    CANCELLING = "cancelling"
    """Ends with the cycle that was paid."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A recurring product of an account, and the cycle that was charged last: from `cycle_start` to `cycle_end`,
    exclusive, for `cycle_charged_minor` net of every discount."""

    subscription_id: SubscriptionId
    account_id: AccountId
    customer_id: CustomerId
    product_id: ProductId
    quantity: int
    subscriber_id: str
    currency: str
    state: SubscriptionState
    anchor_day: int
    cycle_start: date
    cycle_end: date
    cycle_charge_id: ChargeId
    cycle_charged_minor: int
    started_at: datetime
    ended_at: datetime | None = None
    order_id: OrderId
    revision: int = 1

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses SubscriptionNotFound when a customer is named and it is another's."""
        if customer_id is not None and customer_id != self.customer_id:
            raise subscription_not_found(self.subscription_id)

    def check_open(self) -> None:
        """Refuses SubscriptionEnded."""
        if self.state is SubscriptionState.ENDED:
            raise SubscriptionEnded(
                f"subscription {self.subscription_id} has ended", subscription_id=self.subscription_id
            )

    def check_goes_on(self) -> None:
        """Refuses SubscriptionEnded also for one that ends with its cycle."""
        self.check_open()
        if self.state is SubscriptionState.CANCELLING:
            raise SubscriptionEnded(
                f"subscription {self.subscription_id} ends with its cycle", subscription_id=self.subscription_id
            )

    def used_through(self, day: date, charged_minor: int) -> Split:
        """What its cycle was charged, less what of it was given back already, cut after a day, which counts as used."""
        return split_after(charged_minor, self.cycle_start, self.cycle_end, day)

    def used_before(self, day: date, charged_minor: int) -> Split:
        """The same cut before a day."""
        return split_before(charged_minor, self.cycle_start, self.cycle_end, day)

    def used_up(self, charged_minor: int) -> Split:
        """The cycle with nothing left of it."""
        return split_after(charged_minor, self.cycle_start, self.cycle_end, self.cycle_end)

    def cycle_from(self, cadence: Cadence, day: date, *, same: bool, month_anchor: int) -> Anchored:
        """The cycle of a product that takes this one's place from a day on. With the same cadence it ends where this
        one ends; with another one it is as newly ordered."""
        if not same:
            return first_cycle(cadence, day, month_anchor)
        if day >= self.cycle_end:
            return Anchored(self.anchor_day, cycle_on(cadence, self.cycle_end, anchor_day=self.anchor_day, day=day))
        whole = cycle_ending(cadence, self.cycle_end, self.anchor_day)
        return Anchored(self.anchor_day, whole._replace(start=max(day, self.cycle_start)))

    def ended(self, at: datetime) -> "Subscription":
        """Ended at an instant."""
        return replace(self, state=SubscriptionState.ENDED, ended_at=at, revision=self.revision + 1)

    def cancelling(self) -> "Subscription":
        """Ending with its cycle."""
        return replace(self, state=SubscriptionState.CANCELLING, revision=self.revision + 1)

    def changed(self, product_id: ProductId, quantity: int, anchor_day: int) -> "Subscription":
        """Of another product or quantity; to be charged for its cycle in the same step."""
        return replace(self, product_id=product_id, quantity=quantity, anchor_day=anchor_day)

    def charged(self, cycle: Cycle, charge_id: ChargeId, charged_minor: int) -> "Subscription":
        """With another cycle paid, which makes it active."""
        return replace(
            self,
            state=SubscriptionState.ACTIVE,
            cycle_start=cycle.start,
            cycle_end=cycle.end,
            cycle_charge_id=charge_id,
            cycle_charged_minor=charged_minor,
            revision=self.revision + 1,
        )


def subscription_not_found(subscription_id: SubscriptionId) -> SubscriptionNotFound:
    """The one answer for a subscription that is missing or another's."""
    return SubscriptionNotFound(f"there is no subscription {subscription_id}", subscription_id=subscription_id)


def subscription_exists(subscription_id: SubscriptionId) -> SubscriptionExists:
    """The answer to a second subscription under one identifier."""
    return SubscriptionExists(f"subscription {subscription_id} exists", subscription_id=subscription_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSubscription:
    """Wish to end a subscription, at once or with the cycle that is paid."""

    subscription_id: SubscriptionId
    customer_id: CustomerId | None
    at_cycle_end: bool
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSubscription:
    """Wish for another product or quantity from a day on; None keeps what there is."""

    subscription_id: SubscriptionId
    customer_id: CustomerId | None
    product_id: ProductId | None
    quantity: int | None
    occurred_at: datetime
