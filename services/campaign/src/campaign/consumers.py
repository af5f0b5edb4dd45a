"""What campaign listens to: each event of another service becomes a customer event, a tag or both.

A batch is one transaction: stored, matched, decided. The customer events that were submitted to this service come
back from their partitions the same way, already stored.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.consumers import Delivery, Handlers
from chassis.work import Transaction
from google.protobuf.message import Message
from touchstone.billing.v1 import billing_events_pb2 as billing
from touchstone.campaign.v1.campaign_events_pb2 import EventsTaken
from touchstone.member.v1 import member_events_pb2 as member
from touchstone.member.v1.care_events_pb2 import CareDue
from touchstone.member.v1.customer_events_pb2 import CustomerErased
from touchstone.scoring.v1.scoring_events_pb2 import CustomerScored

from campaign.use_cases.facts import forget_customers, take_customers, take_purchases, take_scores, take_tiers
from campaign.use_cases.live import LiveRules
from campaign.use_cases.matching import match_events, take_facts
from campaign.wire import told
from campaign.wire.intake import customer_id_from_proto, events_taken_from_proto

M = TypeVar("M", bound=Message)


def handlers(live: LiveRules, intake_lanes: int) -> Handlers:
    """Everything campaign listens to."""
    listeners = Listeners(live)
    found = Handlers()
    found.on(billing.AccountRecharged, listeners.told(told.recharge_from_proto))
    found.on(billing.AccountCharged, listeners.charges)
    found.on(billing.BalanceFellBelowThreshold, listeners.told(told.low_balance_from_proto))
    found.on(billing.BalanceRestored, listeners.told(told.restored_balance_from_proto))
    found.on(billing.BillIssued, listeners.told(told.issued_bill_from_proto))
    found.on(billing.BillPaid, listeners.told(told.paid_bill_from_proto))
    found.on(member.CustomerRegistered, listeners.customers)
    found.on(member.MemberEnrolled, listeners.told(told.enrolment_from_proto))
    found.on(member.PointsEarned, listeners.told(told.earned_points_from_proto))
    found.on(member.PointsRedeemed, listeners.told(told.redeemed_points_from_proto))
    found.on(member.PointsReversed, listeners.told(told.reversed_points_from_proto))
    found.on(member.PointsExpired, listeners.told(told.expired_points_from_proto))
    found.on(member.PointsTransferred, listeners.transfers)
    found.on(member.TierChanged, listeners.tiers)
    found.on(CareDue, listeners.care)
    found.on(CustomerErased, listeners.erasures)
    found.on(CustomerScored, listeners.scores)
    found.on_intake(EventsTaken, listeners.events_taken, lanes=intake_lanes)
    return found


class Listeners:
    """One function for each kind of event."""

    def __init__(self, live: LiveRules) -> None:
        self._live = live

    def told(
        self, read: Callable[[Delivery[M]], told.Told]
    ) -> Callable[[Transaction, Sequence[Delivery[M]]], Awaitable[None]]:
        """The listener of an event that is one customer event with its tags."""

        async def listen(transaction: Transaction, deliveries: Sequence[Delivery[M]]) -> None:
            found = [read(delivery) for delivery in deliveries]
            tags = [tag for each in found for tag in each.tags]
            await take_facts(transaction, self._live, [each.event for each in found], tags)

        return listen

    async def charges(self, transaction: Transaction, deliveries: Sequence[Delivery[billing.AccountCharged]]) -> None:
        await take_purchases(transaction, self._live, [told.purchase_from_proto(each) for each in deliveries])

    async def customers(
        self, transaction: Transaction, deliveries: Sequence[Delivery[member.CustomerRegistered]]
    ) -> None:
        """The earliest telling of a customer is the registration; later ones are changes."""
        registered = {
            customer_id_from_proto(each.message.customer_id): each.occurred_at
            for each in sorted(deliveries, key=lambda each: each.occurred_at, reverse=True)
        }
        tags = [tag for each in deliveries for tag in told.customer_kind_from_proto(each)]
        await take_customers(transaction, registered, tags)

    async def transfers(
        self, transaction: Transaction, deliveries: Sequence[Delivery[member.PointsTransferred]]
    ) -> None:
        """No customer event: only who has how many points."""
        tags = [tag for each in deliveries for tag in told.transferred_points_from_proto(each)]
        await take_facts(transaction, self._live, [], tags)

    async def tiers(self, transaction: Transaction, deliveries: Sequence[Delivery[member.TierChanged]]) -> None:
        await take_tiers(transaction, self._live, [told.tier_from_proto(each) for each in deliveries])

    async def care(self, transaction: Transaction, deliveries: Sequence[Delivery[CareDue]]) -> None:
        """Care for which the catalogue has a customer event; the rest is the customer manager's."""
        taken = [event for each in deliveries if (event := told.care_from_proto(each)) is not None]
        await take_facts(transaction, self._live, taken, [])

    async def erasures(self, transaction: Transaction, deliveries: Sequence[Delivery[CustomerErased]]) -> None:
        """Nothing is kept of a single person, so that one of them leaves nothing to forget."""
        erased = {
            customer_id_from_proto(each.message.customer_id): each.occurred_at
            for each in deliveries
            if not each.message.person_id
        }
        await forget_customers(transaction, erased)

    async def scores(self, transaction: Transaction, deliveries: Sequence[Delivery[CustomerScored]]) -> None:
        await take_scores(transaction, self._live, [told.score_from_proto(each) for each in deliveries])

    async def events_taken(self, transaction: Transaction, deliveries: Sequence[Delivery[EventsTaken]]) -> None:
        taken = [event for each in deliveries for event in events_taken_from_proto(each.message)]
        await match_events(transaction, self._live, taken)
