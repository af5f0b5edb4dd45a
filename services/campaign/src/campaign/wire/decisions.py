"""Decisions, and the visits that ask for one."""

from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.campaign.v1 import campaign_pb2 as proto
from touchstone.campaign.v1 import campaign_service_pb2 as service

from campaign.domain.decisions import Decision
from campaign.use_cases.decisions import Visit
from campaign.wire.campaigns import offer_to_proto
from campaign.wire.intake import customer_id_from_proto


def decision_to_proto(decision: Decision) -> proto.Decision:
    """The decision with all that is needed to act on it."""
    return proto.Decision(
        decision_id=decision.id,
        campaign_id=decision.campaign_id,
        campaign_version=decision.campaign_version,
        customer_id=decision.customer_id,
        event_id=decision.event_id,
        event_type=decision.event_type,
        offer=offer_to_proto(decision.offer),
        touchpoints=decision.touchpoints,
        priority=decision.priority,
        occurred_at=to_proto(decision.occurred_at),
        expires_at=to_proto(decision.expires_at),
    )


def visit_from_proto(request: service.DecideRequest, caller: str) -> Visit:
    """The visit that a request tells of: its identity is the caller's request."""
    return Visit(
        source=f"visit:{caller}",
        event_id=request.request_id,
        customer_id=customer_id_from_proto(request.customer_id),
        touchpoint=check_id("touchpoint", request.touchpoint),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )
