"""What billing listens to: which tiers customers hold, told by the member service."""

from collections.abc import Sequence

from chassis.consumers import Delivery, Handlers
from chassis.work import Transaction
from touchstone.member.v1 import benefit_events_pb2

from billing.use_cases.held_tier import follow_tiers
from billing.wire.held_tier import tiers_from_delivery


async def on_entitlements_changed(
    transaction: Transaction, deliveries: Sequence[Delivery[benefit_events_pb2.EntitlementsChanged]]
) -> None:
    """What is rated from now on is rated by the tiers that the customer holds now."""
    await follow_tiers(transaction, [tiers_from_delivery(delivery) for delivery in deliveries])


def handlers() -> Handlers:
    """Everything listened to."""
    listening = Handlers()
    listening.on(benefit_events_pb2.EntitlementsChanged, on_entitlements_changed)
    return listening
