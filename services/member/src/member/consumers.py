"""What the member service listens to: payments that billing tells of, which earn points, what is given back of them,
and facts of its own."""

from collections.abc import Sequence
from functools import partial

from chassis.calendar import Calendar
from chassis.consumers import Delivery, Handlers
from chassis.work import Transaction
from touchstone.billing.v1 import account_events_pb2, billing_events_pb2, order_events_pb2
from touchstone.member.v1 import care_events_pb2, member_events_pb2, program_events_pb2

from member.domain.membership import MemberId
from member.use_cases.billed_orders import free_for_orders, spend_for_orders
from member.use_cases.club_terms import check_tiers, follow_members
from member.use_cases.earning import reward_payments
from member.use_cases.memberships import give_up_late_points
from member.use_cases.occasions import reward_care, reward_occasions
from member.use_cases.progress import count_earnings
from member.use_cases.registrations import leave_activities
from member.use_cases.taking_back import take_back
from member.use_cases.tiers import judge_customers
from member.wire.billed_orders import placed_order_from_delivery, rejected_order_from_delivery
from member.wire.earning_events import care_from_delivery, enrolments_from_deliveries, upgrades_from_deliveries
from member.wire.memberships import changed_customers_from_deliveries
from member.wire.points import (
    charge_refunded_from_delivery,
    order_from_delivery,
    recharge_from_delivery,
    recharge_reversed_from_delivery,
)
from member.wire.tasks import earning_from_delivery


async def on_account_recharged(
    transaction: Transaction,
    deliveries: Sequence[Delivery[billing_events_pb2.AccountRecharged]],
    *,
    calendar: Calendar,
) -> None:
    """A recharge earns points at the rate of the tier held then, and by the rules that acted then."""
    await reward_payments(transaction, [recharge_from_delivery(delivery) for delivery in deliveries], calendar)


async def on_account_charged(
    transaction: Transaction, deliveries: Sequence[Delivery[billing_events_pb2.AccountCharged]], *, calendar: Calendar
) -> None:
    """An order earns points at the rate of the tier held then, and by the rules that acted then; one of zero none."""
    await reward_payments(transaction, [order_from_delivery(delivery) for delivery in deliveries], calendar)


async def on_recharge_reversed(
    transaction: Transaction, deliveries: Sequence[Delivery[account_events_pb2.RechargeReversed]]
) -> None:
    """A recharge that is taken back takes its share of the points back that it gave, also when it is heard of first."""
    await take_back(transaction, [recharge_reversed_from_delivery(delivery) for delivery in deliveries])


async def on_charge_refunded(
    transaction: Transaction, deliveries: Sequence[Delivery[account_events_pb2.ChargeRefunded]]
) -> None:
    """A charge that is given back takes its share of the points back that it gave, also when it is heard of first."""
    await take_back(transaction, [charge_refunded_from_delivery(delivery) for delivery in deliveries])


async def on_order_placed(
    transaction: Transaction, deliveries: Sequence[Delivery[order_events_pb2.OrderPlaced]], *, calendar: Calendar
) -> None:
    """Coupons and points that were set aside for an order are spent."""
    orders = [placed_order_from_delivery(delivery) for delivery in deliveries]
    await spend_for_orders(transaction, orders, calendar=calendar)


async def on_order_rejected(
    transaction: Transaction, deliveries: Sequence[Delivery[order_events_pb2.OrderRejected]], *, calendar: Calendar
) -> None:
    """Coupons and points that were set aside for an order are free again."""
    orders = [rejected_order_from_delivery(delivery) for delivery in deliveries]
    await free_for_orders(transaction, orders, calendar=calendar)


async def on_customer_registered(
    transaction: Transaction, deliveries: Sequence[Delivery[member_events_pb2.CustomerRegistered]]
) -> None:
    """A customer whose service lines changed may have reached a better tier, where the program moves at once."""
    await judge_customers(transaction, changed_customers_from_deliveries(deliveries))


async def on_tier_changed(
    transaction: Transaction, deliveries: Sequence[Delivery[member_events_pb2.TierChanged]], *, calendar: Calendar
) -> None:
    """Of a member whose tier moved the clubs are looked at, by the tier that is held now; a better one earns what the
    rules give for it."""
    await check_tiers(transaction, {MemberId(delivery.message.member_id) for delivery in deliveries})
    await reward_occasions(transaction, upgrades_from_deliveries(deliveries), calendar)


async def on_member_left(
    transaction: Transaction, deliveries: Sequence[Delivery[program_events_pb2.MemberLeft]]
) -> None:
    """Who leaves the program leaves its clubs and what it is registered for, and gives up what arrived just as it left;
    of who went into another member the clubs go over."""
    gone = {MemberId(delivery.message.member_id) for delivery in deliveries}
    await follow_members(transaction, gone)
    await leave_activities(transaction, gone)
    await give_up_late_points(transaction, gone)


async def on_member_enrolled(
    transaction: Transaction, deliveries: Sequence[Delivery[member_events_pb2.MemberEnrolled]], *, calendar: Calendar
) -> None:
    """An enrolment earns what the rules give for it."""
    await reward_occasions(transaction, enrolments_from_deliveries(deliveries), calendar)


async def on_care_due(
    transaction: Transaction, deliveries: Sequence[Delivery[care_events_pb2.CareDue]], *, calendar: Calendar
) -> None:
    """A birthday, a holiday or another occasion of care earns what the rules give for it."""
    await reward_care(transaction, [care_from_delivery(delivery) for delivery in deliveries], calendar)


async def on_payment_rewarded(
    transaction: Transaction, deliveries: Sequence[Delivery[member_events_pb2.PaymentRewarded]], *, calendar: Calendar
) -> None:
    """Recharges and orders that gave points count for the tasks that ask for them."""
    await give_up_late_points(transaction, {MemberId(delivery.message.member_id) for delivery in deliveries})
    await count_earnings(transaction, [earning_from_delivery(each) for each in deliveries], calendar=calendar)


def handlers(calendar: Calendar) -> Handlers:
    """Everything listened to."""
    listening = Handlers()
    listening.on(billing_events_pb2.AccountRecharged, partial(on_account_recharged, calendar=calendar))
    listening.on(billing_events_pb2.AccountCharged, partial(on_account_charged, calendar=calendar))
    listening.on(account_events_pb2.RechargeReversed, on_recharge_reversed)
    listening.on(account_events_pb2.ChargeRefunded, on_charge_refunded)
    listening.on(order_events_pb2.OrderPlaced, partial(on_order_placed, calendar=calendar))
    listening.on(order_events_pb2.OrderRejected, partial(on_order_rejected, calendar=calendar))
    listening.on(member_events_pb2.CustomerRegistered, on_customer_registered)
    listening.on(member_events_pb2.TierChanged, partial(on_tier_changed, calendar=calendar))
    listening.on(program_events_pb2.MemberLeft, on_member_left)
    listening.on(member_events_pb2.MemberEnrolled, partial(on_member_enrolled, calendar=calendar))
    listening.on(care_events_pb2.CareDue, partial(on_care_due, calendar=calendar))
    listening.on(member_events_pb2.PaymentRewarded, partial(on_payment_rewarded, calendar=calendar))
    return listening
