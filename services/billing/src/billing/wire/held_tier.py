"""What the member service tells of tiers, read from its events."""

from chassis.consumers import Delivery
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import benefit_events_pb2

from billing.domain.discount import HeldTier, TiersHeld
from billing.domain.ids import CustomerId


def tiers_from_delivery(delivery: Delivery[benefit_events_pb2.EntitlementsChanged]) -> TiersHeld:
    """The tiers of the customer as a whole: an account is the household's, no person's. InvalidArgument for an event
    that cannot say it."""
    message = delivery.message
    if message.revision <= 0:
        raise InvalidArgument("revision", "must be more than 0")
    return TiersHeld(
        CustomerId(check_id("customer_id", message.customer_id)),
        tuple(
            HeldTier(check_id("tiers.program_id", tier.program_id), check_id("tiers.tier_id", tier.tier_id))
            for tier in message.tiers
            if not tier.person_id
        ),
        message.revision,
    )
