"""Events listened to: each is handed to its use case."""

from collections.abc import Sequence

from chassis.consumers import Delivery, Handlers
from chassis.work import Transaction
from touchstone.campaign.v1 import campaign_events_pb2

from touchpoint.use_cases.opportunities import record_opportunities
from touchpoint.wire.events import opportunity_from_proto


async def on_decision_made(
    transaction: Transaction, deliveries: Sequence[Delivery[campaign_events_pb2.DecisionMade]]
) -> None:
    """A decision becomes an opportunity; one already brought by a visit stays as it is."""
    await record_opportunities(
        transaction, [opportunity_from_proto(delivery.message.decision) for delivery in deliveries]
    )


def handlers() -> Handlers:
    """What this service listens to."""
    listening = Handlers()
    listening.on(campaign_events_pb2.DecisionMade, on_decision_made)
    return listening
