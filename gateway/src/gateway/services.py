"""The five services as the gateway calls them: with the caller's own token, a deadline, and retries at this edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from chassis.auth import current_caller
from chassis.rpc.client import open_channel
from touchstone.billing.v1 import billing_service_pb2_grpc as billing
from touchstone.campaign.v1 import campaign_service_pb2_grpc as campaign
from touchstone.member.v1 import customer_service_pb2_grpc as customer_grpc
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc
from touchstone.scoring.v1 import scoring_service_pb2_grpc as scoring
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as touchpoint

from gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Services:
    """A stub for each gRPC service of the contracts that the gateway offers."""

    customers: Any
    memberships: Any
    points: Any
    accounts: Any
    bills: Any
    catalogue: Any
    campaigns: Any
    decisions: Any
    touchpoints: Any
    contacts: Any
    partners: Any
    scores: Any
    runs: Any


@asynccontextmanager
async def open_services(settings: GatewaySettings) -> AsyncIterator[Services]:
    """Channels to all services, closed at the end. A service may be down: its calls then fail, others do not."""
    channels: dict[str, grpc.aio.Channel] = {
        name: open_channel(getattr(settings, f"{name}_target"), _token, retries=True)
        for name in ("member", "billing", "campaign", "touchpoint", "scoring")
    }
    try:
        yield _stubs(channels)
    finally:
        for channel in channels.values():
            await channel.close()


def _stubs(channels: dict[str, grpc.aio.Channel]) -> Services:
    return Services(
        customers=customer_grpc.CustomerServiceStub(channels["member"]),
        memberships=membership_grpc.MembershipServiceStub(channels["member"]),
        points=points_grpc.PointsServiceStub(channels["member"]),
        accounts=billing.AccountServiceStub(channels["billing"]),
        bills=billing.BillServiceStub(channels["billing"]),
        catalogue=campaign.CatalogueServiceStub(channels["campaign"]),
        campaigns=campaign.CampaignServiceStub(channels["campaign"]),
        decisions=campaign.DecisionServiceStub(channels["campaign"]),
        touchpoints=touchpoint.TouchpointServiceStub(channels["touchpoint"]),
        contacts=touchpoint.ContactServiceStub(channels["touchpoint"]),
        partners=touchpoint.PartnerServiceStub(channels["touchpoint"]),
        scores=scoring.ScoreServiceStub(channels["scoring"]),
        runs=scoring.RunServiceStub(channels["scoring"]),
    )


def _token() -> str:
    return current_caller().token
