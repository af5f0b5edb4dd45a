"""What the member service listens to: billing's recharges and charges, which earn points by tier."""

from collections.abc import Sequence

from chassis.consumers import Delivery, Handlers
from chassis.work import Transaction
from touchstone.billing.v1 import billing_events_pb2

from member.use_cases.earning import reward_payments
from member.wire.points import order_from_delivery, recharge_from_delivery


async def on_account_recharged(
    transaction: Transaction, deliveries: Sequence[Delivery[billing_events_pb2.AccountRecharged]]
) -> None:
    """A recharge earns points at the rate of the tier held then."""
    await reward_payments(transaction, [recharge_from_delivery(delivery) for delivery in deliveries])


async def on_account_charged(
    transaction: Transaction, deliveries: Sequence[Delivery[billing_events_pb2.AccountCharged]]
) -> None:
    """An order earns points at the rate of the tier held then; one of zero earns none."""
    await reward_payments(transaction, [order_from_delivery(delivery) for delivery in deliveries])


def handlers() -> Handlers:
    """Everything listened to."""
    listening = Handlers()
    listening.on(billing_events_pb2.AccountRecharged, on_account_recharged)
    listening.on(billing_events_pb2.AccountCharged, on_account_charged)
    return listening
