"""Asks campaign to decide at the moment a customer shows up and nothing waits."""

import hashlib

import grpc
import structlog
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.rpc.client import time_left
from chassis.rpc.errors import RemoteRefusal
from chassis.times import to_proto
from touchstone.campaign.v1 import campaign_service_pb2 as pb
from touchstone.campaign.v1 import campaign_service_pb2_grpc as pb_grpc

from touchpoint.domain.opportunity import Opportunity
from touchpoint.use_cases.contacts import PresentOffers
from touchpoint.wire.events import opportunity_from_proto

_log = structlog.get_logger(__name__)


class CampaignClient:
    """Campaign's decisions, as opportunities. When campaign cannot answer in time, nothing waits."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._decisions = pb_grpc.DecisionServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def decide(self, request_id: str, command: PresentOffers) -> tuple[Opportunity, ...]:
        """What campaign decides for the visit; a repeat of the visit's request gets the same decisions."""
        request = pb.DecideRequest(
            request_id=_request_id(request_id),
            customer_id=command.customer_id,
            touchpoint=command.touchpoint,
            occurred_at=to_proto(command.occurred_at),
        )
        try:
            reply = await self._decisions.Decide(request, timeout=time_left(self._timeout_seconds))
            return tuple(opportunity_from_proto(decision) for decision in reply.decisions)
        except (grpc.aio.AioRpcError, RemoteRefusal, InvalidArgument) as error:
            _log.warning("campaign did not decide", error=type(error).__name__)
            return ()


def _request_id(request_id: str) -> str:
    """The request's identity in this service's own name: two callers may use one id for different visits."""
    caller = current_caller().subject
    return "present-" + hashlib.sha256(f"{caller}\n{request_id}".encode()).hexdigest()[:48]
