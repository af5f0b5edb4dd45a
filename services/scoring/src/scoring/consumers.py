"""Events in: what customers are charged for is what they buy."""

from collections.abc import Sequence

from chassis.consumers import Delivery, Handlers
from chassis.work import Transaction
from touchstone.billing.v1.billing_events_pb2 import AccountCharged

from scoring import use_cases, wire
from scoring.use_cases import Policy


def listen(policy: Policy) -> Handlers:
    """What scoring listens to."""
    handlers = Handlers()

    async def on_account_charged(transaction: Transaction, deliveries: Sequence[Delivery[AccountCharged]]) -> None:
        purchases = [wire.purchase_from_charge(delivery.message) for delivery in deliveries]
        await use_cases.record_purchases(transaction, purchases, policy)

    handlers.on(AccountCharged, on_account_charged)
    return handlers
